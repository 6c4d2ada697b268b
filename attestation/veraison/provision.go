package veraison

import (
	"context"
	"encoding/asn1"
	"errors"
	"fmt"
	"mime"
	"net/http"
	"slices"
	"strings"

	"attls/attestation"

	"github.com/fxamacker/cbor/v2"
)

// MediaTypeCoRIM is the media type of an unsigned CoRIM (draft-ietf-rats-corim), of a
// profile where it names one. An older name, which some schemes have, is in the list of
// the service.
const (
	MediaTypeCoRIM       = "application/rim+cbor"
	MediaTypeSignedCoRIM = "application/rim+cose"
)

// Provision gives a service the endorsements and reference values of a CoRIM. The
// service for that may be at another origin than the one that appraises. The media type
// is the one of the CoRIM, with the parameter profile where it has a profile. Errors
// say why the CoRIM was not taken: Veraison answers 200 then too.
func Provision(ctx context.Context, o Options, media string, corim []byte) error {
	v, err := connect(o)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, v.o.Timeout)
	defer cancel()
	m, verified, err := v.wellKnown(ctx, pathProvisioning)
	if err != nil {
		return fmt.Errorf("%s: %w", v.base, err)
	}
	if !verified && !o.Insecure {
		return fmt.Errorf("%s: reference values are sent over verified HTTPS only", v.base)
	}
	submit, err := v.endpoint(m, "provisioningSubmit")
	if err != nil {
		return fmt.Errorf("%s: %w", v.base, err)
	}
	if media, err = spelt(m, media); err != nil {
		return fmt.Errorf("%s: %w", v.base, err)
	}
	a, failure := v.do(ctx, request{method: http.MethodPost, url: submit, accept: typeProvisioning, body: corim,
		contentType: media})
	if failure != nil {
		return fmt.Errorf("%s: %s", v.base, failure.Detail)
	}
	if m, err = a.object(typeProvisioning); err != nil {
		return fmt.Errorf("%s: %w", v.base, err)
	}
	if status, _ := m["status"].(string); status != "success" {
		why, _ := m["failure-reason"].(string)
		return fmt.Errorf("%s: the CoRIM is not taken: its status is %q: %q", v.base, shorten(status), shorten(why))
	}
	return nil
}

// spelt is a media type as the service writes it, where the service takes it.
func spelt(m map[string]any, media string) (string, error) {
	list, err := typesOf(m)
	if err != nil {
		return "", err
	}
	if slices.Contains(list, media) {
		return media, nil
	}
	name, parameters, err := mime.ParseMediaType(media)
	if err != nil {
		return "", fmt.Errorf("%q is not a media type: %w", media, err)
	}
	bare := false
	for _, t := range list {
		n, p, err := mime.ParseMediaType(t)
		if err != nil || n != name {
			continue
		}
		if p["profile"] == parameters["profile"] {
			return t, nil
		}
		bare = bare || len(p) == 0
	}
	if bare {
		return media, nil // it takes every profile
	}
	return "", errors.New("it does not take " + media + "; it takes " + shorten(strings.Join(list, ", ")))
}

// Tags of a CoRIM (draft-ietf-rats-corim section 4): unsigned, and in a COSE_Sign1.
const (
	tagUnsigned = 501
	tagSigned   = 18
	keyProfile  = int64(3)
	tagURI      = 32
	tagOID      = 111
)

// TypeOfCoRIM is the media type of a CoRIM, with its profile where it has one.
func TypeOfCoRIM(corim []byte) (string, error) {
	var outer cbor.RawTag
	if err := cbor.Unmarshal(corim, &outer); err != nil {
		return "", fmt.Errorf("it is not a CoRIM, which begins with the tag %d, or %d where it is signed: %w", tagUnsigned,
			tagSigned, err)
	}
	media, body := MediaTypeCoRIM, []byte(outer.Content)
	switch outer.Number {
	case tagUnsigned:
	case tagSigned:
		var parts []cbor.RawMessage
		if err := cbor.Unmarshal(body, &parts); err != nil || len(parts) != 4 {
			return "", errors.New("a signed CoRIM is a COSE_Sign1 of four parts")
		}
		var payload []byte
		if err := cbor.Unmarshal(parts[2], &payload); err != nil {
			return "", fmt.Errorf("the payload of a signed CoRIM: %w", err)
		}
		var inner cbor.RawTag
		if err := cbor.Unmarshal(payload, &inner); err != nil || inner.Number != tagUnsigned {
			return "", fmt.Errorf("the payload of a signed CoRIM has the tag %d", tagUnsigned)
		}
		media, body = MediaTypeSignedCoRIM, inner.Content
	default:
		return "", fmt.Errorf("it has the tag %d; a CoRIM has %d, or %d where it is signed", outer.Number, tagUnsigned,
			tagSigned)
	}
	m, failure := attestation.ParseClaims(body)
	if failure != nil {
		return "", failure
	}
	profile, err := profileOf(m[keyProfile])
	if err != nil {
		return "", fmt.Errorf("the profile of the CoRIM: %w", err)
	}
	if profile == "" {
		return media, nil
	}
	return fmt.Sprintf("%s; profile=%q", media, profile), nil
}

// profileOf reads a profile: a URI or an object identifier, in its tag.
func profileOf(raw []byte) (string, error) {
	if raw == nil {
		return "", nil
	}
	var t cbor.RawTag
	if err := cbor.Unmarshal(raw, &t); err != nil {
		return "", fmt.Errorf("it has no tag: %w", err)
	}
	switch t.Number {
	case tagURI:
		var text string
		if err := cbor.Unmarshal(t.Content, &text); err != nil || strings.ContainsFunc(text,
			func(r rune) bool { return r <= ' ' || r >= 127 || r == '"' || r == '\\' }) {
			return "", errors.New("it is not a URI")
		}
		return text, nil
	case tagOID:
		var body []byte
		if err := cbor.Unmarshal(t.Content, &body); err != nil {
			return "", err
		}
		var oid asn1.ObjectIdentifier
		der := append([]byte{asn1.TagOID, byte(len(body))}, body...)
		if rest, err := asn1.Unmarshal(der, &oid); err != nil || len(rest) > 0 || len(body) > 127 {
			return "", errors.New("it is not an object identifier")
		}
		return oid.String(), nil
	}
	return "", fmt.Errorf("it has the tag %d", t.Number)
}
