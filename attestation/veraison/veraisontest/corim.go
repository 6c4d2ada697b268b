package veraisontest

import (
	"errors"
	"fmt"
	"mime"

	"github.com/fxamacker/cbor/v2"
)

// Tags and members of a CoRIM (draft-ietf-rats-corim section 4).
const (
	tagUnsigned = 501
	tagSign1    = 18
	tagURI      = 32

	memberID      = 0
	memberTags    = 1
	memberProfile = 3
)

// labelX5Chain is the header of a COSE_Sign1 with the certificate of the signer (RFC
// 9360).
const labelX5Chain = 33

// manifest is what the service looks at in a CoRIM.
type manifest struct{ id, profile string }

// readCoRIM reads a CoRIM of a media type.
func readCoRIM(media string, b []byte) (*manifest, error) {
	name, parameters, err := mime.ParseMediaType(media)
	if err != nil {
		return nil, err
	}
	if name == "application/rim+cose" {
		if b, err = payload(b); err != nil {
			return nil, err
		}
	}
	var outer cbor.RawTag
	if err := cbor.Unmarshal(b, &outer); err != nil || outer.Number != tagUnsigned {
		return nil, errors.New("did not see unsigned CoRIM tag")
	}
	var members map[int64]cbor.RawMessage
	if err := cbor.Unmarshal(outer.Content, &members); err != nil {
		return nil, err
	}
	var tags []cbor.RawTag
	if err := cbor.Unmarshal(members[memberTags], &tags); err != nil || len(tags) == 0 {
		return nil, errors.New("tags validation failed: no tags")
	}
	m := &manifest{id: string(members[memberID])}
	if members[memberProfile] == nil {
		return nil, errors.New("rpc error: code = Unknown desc = profile not set in CoRIM")
	}
	var uri cbor.RawTag
	if err := cbor.Unmarshal(members[memberProfile], &uri); err != nil || uri.Number != tagURI {
		return nil, errors.New("error unmarshalling field \"Profile\": not a tagged URI")
	}
	if err := cbor.Unmarshal(uri.Content, &m.profile); err != nil {
		return nil, err
	}
	if m.profile != parameters["profile"] {
		return nil, fmt.Errorf("rpc error: code = Unknown desc = CoRIM profile (%s) does not match media type profile (%s)",
			m.profile, parameters["profile"])
	}
	return m, nil
}

// payload is that of a signed CoRIM, whose certificate must be in it. The double
// verifies nothing.
func payload(b []byte) ([]byte, error) {
	var outer cbor.RawTag
	var parts []cbor.RawMessage
	if err := cbor.Unmarshal(b, &outer); err != nil || outer.Number != tagSign1 ||
		cbor.Unmarshal(outer.Content, &parts) != nil || len(parts) != 4 {
		return nil, errors.New("failed to parse signed CoRIM: cbor: invalid COSE_Sign1_Tagged object")
	}
	var protected, content []byte
	headers := map[int64]cbor.RawMessage{}
	if err := errors.Join(cbor.Unmarshal(parts[0], &protected), cbor.Unmarshal(parts[2], &content)); err != nil {
		return nil, fmt.Errorf("failed to parse signed CoRIM: %w", err)
	}
	if err := cbor.Unmarshal(protected, &headers); err != nil {
		return nil, fmt.Errorf("failed to parse signed CoRIM: %w", err)
	}
	if headers[labelX5Chain] == nil {
		return nil, errors.New("no signing certificate found in the CoRIM")
	}
	return content, nil
}
