package attestation

import (
	"bytes"
	"encoding/hex"
	"fmt"
	"reflect"
	"strings"
	"testing"

	"attls"
	"attls/extensions/profile"
)

func unhex(t testing.TB, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(strings.ReplaceAll(s, " ", ""))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// nested is n collections in each other with a record inside.
func nested(n int) []byte {
	return append(bytes.Repeat([]byte{0xa1, 0x61, 'a'}, n), 0x82, 0x19, 0x01, 0x07, 0x41, 0xd2)
}

// TestCMWNegative holds the negative vectors CMW-N1 to -N15 and their kin: each
// is refused with the place and the reason.
func TestCMWNegative(t *testing.T) {
	for _, test := range []struct {
		id, hex, json string
		raw           []byte
		offset        int
		field, says   string
	}{
		{id: "CMW-N1", offset: 0, field: "cmw", says: "empty"},
		{id: "CMW-N2", hex: "a0", offset: 0, field: "cmw", says: "without a member"},
		{id: "CMW-N3", hex: "81190107", offset: 0, field: "cmw", says: "1 elements"},
		{id: "CMW-N4", hex: "84 190107 41d2 04 00", offset: 0, field: "cmw", says: "four elements"},
		{id: "CMW-N5", hex: "82 1a00010107 41d2", offset: 1, field: "cmw.type", says: "65799 does not fit"},
		{id: "CMW-N6", hex: "82 20 41d2", offset: 1, field: "cmw.type", says: "negative"},
		{id: "CMW-N7", hex: "82 190107 61 64", offset: 4, field: "cmw.value", says: "a text string"},
		{id: "CMW-N8", json: `["application/eat+cwt","0g=="]`, offset: 29, field: "cmw.value", says: "without padding"},
		{id: "CMW-N9", json: `["application/eat+cwt","0g",0]`, offset: 29, field: "cmw.ind", says: "ind is 0"},
		{id: "CMW-N10", hex: "da63740200 41d2", offset: 0, field: "cmw", says: "does not correspond to a content format"},
		{id: "CMW-N11", json: `{"__cmwc_t":"tag:example.com,2024:x"}`, offset: 0, field: "cmw", says: "without a member"},
		{id: "CMW-N12", hex: "82190107 41d2 00", offset: 6, field: "cmw", says: "1 octets follow"},
		{id: "CMW-N13", hex: "a2 61 61 82190107 41d2 61 61 82190107 41d3", offset: 9, field: "cmw", says: "appears twice"},
		{id: "CMW-N14", raw: nested(1000), offset: 24, field: "cmw.a.a.a.a.a.a.a.a", says: "nested deeper than 8"},
		{id: "nested 9", raw: nested(9), offset: 24, field: "cmw.a.a.a.a.a.a.a.a", says: "nested deeper than 8"},
		{id: "JSON nested 9", json: strings.Repeat(`{"a":`, 9) + `["a/b","YQ"]` + strings.Repeat("}", 9), offset: 41, field: "cmw.a.a.a.a.a.a.a.a", says: "nested deeper than 8"},
		{id: "duplicate JSON", json: `{"a":["a/b","YQ"],"a":["a/b","YQ"]}`, offset: 21, field: "cmw", says: "appears twice"},
		{id: "indefinite record of one element", hex: "9f 190107 ff", offset: 0, field: "cmw", says: "1 elements"},
		{id: "indefinite record of four elements", hex: "9f 190107 41d2 04 05 ff", offset: 0, field: "cmw", says: "4 elements"},
		{id: "indefinite record without a break", hex: "9f 190107 41d2", offset: 6, field: "cmw.ind", says: "the CBOR ends"},
		{id: "indefinite collection without a break", hex: "bf 6161 82190107 41d2", offset: 9, field: "cmw", says: "the CBOR ends"},
		{id: "indefinite collection of nothing", hex: "bf ff", offset: 0, field: "cmw", says: "without a member"},
		{id: "indefinite collection that ends in a key", hex: "bf 6161 ff", offset: 3, field: "cmw.a", says: "a break outside"},
		{id: "text in an indefinite byte string", hex: "82 190107 5f 61d2 ff", offset: 5, field: "cmw.value", says: "a text string where a byte string"},
		{id: "an indefinite chunk", hex: "82 190107 5f 5f 41d2 ff ff", offset: 5, field: "cmw.value", says: "a chunk of indefinite length"},
		{id: "an indefinite integer", hex: "82 1f 41d2", offset: 1, field: "cmw.type", says: "reserved"},
		{id: "an indefinite tag", hex: "df 41d2", offset: 0, field: "cmw", says: "reserved"},
		{id: "a stray break", hex: "82 ff 41d2", offset: 1, field: "cmw.type", says: "a break outside"},
		{id: "one label in two lengths", hex: "a2 00 82190107 41d2 1800 82190107 41d3", offset: 8, field: "cmw", says: "appears twice"},
		{id: "one label whole and in chunks", hex: "a2 6161 82190107 41d2 7f6161ff 82190107 41d3", offset: 9, field: "cmw", says: "appears twice"},
		{id: "label that is not UTF-8", hex: "a1 61ff 82190107 41d2", offset: 1, field: "cmw", says: "not UTF-8"},
		{id: "media type that is not UTF-8", hex: "82 61ff 41d2", offset: 1, field: "cmw.type", says: "not UTF-8"},
		{id: "truncated head", hex: "82 1901", offset: 1, field: "cmw.type", says: "inside the head"},
		{id: "truncated value", hex: "82 190107 42d2", offset: 4, field: "cmw.value", says: "2 octets; 1 are left"},
		{id: "value past the end", hex: "82 190107 5bffffffffffffffff", offset: 4, field: "cmw.value", says: "18446744073709551615 octets"},
		{id: "huge array", hex: "9bffffffffffffffff", offset: 0, field: "cmw", says: "at most 256"},
		{id: "empty media type", hex: "82 60 41d2", offset: 1, field: "cmw.type", says: "empty media type"},
		{id: "not a media type", hex: "82 63 616263 41d2", offset: 1, field: "cmw.type", says: "is not a media type"},
		{id: "ind zero", hex: "83 190107 41d2 00", offset: 6, field: "cmw.ind", says: "ind is 0"},
		{id: "ind of 33 bits", hex: "83 190107 41d2 1b0000000100000000", offset: 6, field: "cmw.ind", says: "32 bits"},
		{id: "empty JSON value", json: `["application/eat+cwt",""]`, offset: 25, field: "cmw.value", says: "at least one octet"},
		{id: "loose JSON bits", json: `["application/eat+cwt","0h"]`, offset: 27, field: "cmw.value", says: "base64url"},
		{id: "JSON value with a line end", json: `["application/eat+cwt","0\ng"]`, offset: 29, field: "cmw.value", says: "without padding"},
		{id: "JSON ind a fraction", json: `["application/eat+cwt","0g",4.0]`, offset: 31, field: "cmw.ind", says: "4.0 is not an unsigned"},
		{id: "JSON ind negative", json: `["application/eat+cwt","0g",-4]`, offset: 30, field: "cmw.ind", says: "-4 is not an unsigned"},
		{id: "JSON with a comma too many", json: `["application/eat+cwt","0g",]`, offset: 28, field: "cmw", says: "invalid character"},
		{id: "content format in JSON", json: `[263,"0g"]`, offset: 4, field: "cmw.type", says: "a string belongs here"},
		{id: "JSON value a number", json: `["application/eat+cwt",5]`, offset: 24, field: "cmw.value", says: "a string belongs here"},
		{id: "JSON trailing", json: `["application/eat+cwt","0g"]x`, offset: 28, field: "cmw", says: "follows"},
		{id: "JSON truncated", json: `["application/eat+cwt","0g"`, offset: 27, field: "cmw", says: "unexpected EOF"},
		{id: "byte-order mark", json: "\ufeff" + `["application/eat+cwt","0g"]`, offset: 0, field: "cmw", says: "octet ef"},
		{id: "compact JWS", json: "eyJhbGciOiJFUzI1NiJ9.e30.AA", offset: 0, field: "cmw", says: "signed CMW"},
		{id: "X.509", hex: "3082", offset: 0, field: "cmw", says: "octet 30"},
		{id: "collection type no URI", hex: "a2 685f5f636d77635f74 6178 6161 82190107 41d2", offset: 10, field: "cmw.__cmwc_t", says: "neither an absolute URI"},
		{id: "collection type with a fragment", json: `{"__cmwc_t":"tag:example.com,2024:x#y","a":["a/b","YQ"]}`, offset: 38, field: "cmw.__cmwc_t", says: "neither an absolute URI"},
		{id: "collection type a relative reference", json: `{"__cmwc_t":"//example.com/x","a":["a/b","YQ"]}`, offset: 29, field: "cmw.__cmwc_t", says: "neither an absolute URI"},
		{id: "collection type a relative OID", json: `{"__cmwc_t":".1.2","a":["a/b","YQ"]}`, offset: 18, field: "cmw.__cmwc_t", says: "neither an absolute URI"},
		{id: "label a byte string", hex: "a1 4161 82190107 41d2", offset: 1, field: "cmw", says: "a byte string as label"},
		{id: "member no CMW", hex: "a1 6161 01", offset: 3, field: "cmw.a", says: "where a CMW belongs"},
		{id: "too long", raw: make([]byte, 1<<16+1), offset: 1 << 16, field: "cmw", says: "at most 65536"},
	} {
		b := append(unhex(t, test.hex), append([]byte(test.json), test.raw...)...)
		c, err := ParseCMW(b, Limits{})
		if err == nil {
			t.Errorf("%s: accepted as %+v", test.id, c)
			continue
		}
		if err.Failure != attls.FailMalformedCMW || err.Offset != test.offset || err.Field != test.field || !strings.Contains(err.Detail, test.says) {
			t.Errorf("%s: %v at %d; want %q at %d of %s", test.id, err, err.Offset, test.says, test.offset, test.field)
		}
	}
	// CMW-N15 is well formed and says something else than was negotiated.
	c, err := ParseCMW(unhex(t, "83190107 41d2 08"), Limits{})
	if err != nil {
		t.Fatal(err)
	}
	if err := c.checkIndicators(profile.ModelEvidence); err == nil || err.Failure != attls.FailFormatMismatch || err.Field != "ind" {
		t.Errorf("CMW-N15: %v", err)
	}
	if err := c.checkIndicators(profile.ModelResults); err != nil {
		t.Errorf("ind 8 under results: %v", err)
	}
}

// TestCMWMembers: the limit on members, in both serializations.
func TestCMWMembers(t *testing.T) {
	for _, n := range []int{64, 65} {
		c := &CMW{Form: CBORCollection}
		j := &CMW{Form: JSONCollection}
		for i := range n {
			c.Members = append(c.Members, Member{fmt.Sprint(i), &CMW{Value: []byte{1}, Format: profile.Format{ContentFormat: 60}}})
			j.Members = append(j.Members, Member{fmt.Sprint(i), &CMW{Form: JSONRecord, Value: []byte{1}, Format: profile.Format{ContentFormat: 60}}})
		}
		for _, c := range []*CMW{c, j} {
			b, err := c.Encode()
			if err != nil {
				t.Fatal(err)
			}
			if _, err := ParseCMW(b, Limits{}); (err == nil) != (n == 64) {
				t.Errorf("%d members: %v", n, err)
			}
		}
	}
}

// TestCMWExamples reads and writes an example of each form of a CMW.
func TestCMWExamples(t *testing.T) {
	cwt := profile.Format{ContentFormat: 263}
	record := func(f profile.Format, value string, ind uint32) *CMW {
		return &CMW{Form: CBORRecord, Format: f, Value: unhex(t, value), Indicator: ind}
	}
	for _, test := range []struct {
		name, hex, json string
		want            *CMW
		readOnly        bool
	}{
		{name: "JSON record", json: `["application/vnd.example.rats-conceptual-msg","I0faVQ"]`,
			want: &CMW{Form: JSONRecord, Format: profile.Format{MediaType: "application/vnd.example.rats-conceptual-msg"}, Value: unhex(t, "2347da55")}},
		{name: "white space", json: " \n[ \"a/b\" , \"I0faVQ\", 4 ] ", readOnly: true,
			want: &CMW{Form: JSONRecord, Format: profile.Format{MediaType: "a/b"}, Value: unhex(t, "2347da55"), Indicator: 4}},
		{name: "CBOR record", hex: "82 19fde7 44 2347da55", want: record(profile.Format{ContentFormat: 64999}, "2347da55", 0)},
		{name: "CBOR tag", hex: "da 6374ffe6 44 2347da55", want: &CMW{Form: CBORTag, Format: profile.Format{ContentFormat: 64999}, Value: unhex(t, "2347da55")}},
		{name: "tag of CBOR", hex: "da 6374ffe5 4b a10a48a7c76d8424a96fb4",
			want: &CMW{Form: CBORTag, Format: profile.Format{ContentFormat: 64998}, Value: unhex(t, "a10a48a7c76d8424a96fb4")}},
		{name: "eat+cwt by number", hex: "82 190107 41d2", want: record(cwt, "d2", 0)},
		{name: "eat+cwt by name", hex: "82 73 6170706c69636174696f6e2f6561742b637774 41d2", want: record(profile.Format{MediaType: MediaTypeCWT}, "d2", 0)},
		{name: "with ind", hex: "83 190107 41d2 04", want: record(cwt, "d2", IndEvidence)},
		{name: "eat+cwt by tag", hex: "da63740209 41d2", want: &CMW{Form: CBORTag, Format: cwt, Value: []byte{0xd2}}},
		{name: "empty value", hex: "82 190107 40", want: record(cwt, "", 0), readOnly: true},
		{name: "KAT and PAT", hex: "a3 63 6b6174 82 73 6170706c69636174696f6e2f6561742b637774 41d0 63 706174 82 73 6170706c69636174696f6e2f6561742b637774 41d1" +
			"68 5f5f636d77635f74 78 20 7461673a696574662e6f72672c323032342d30322d32393a726174732f6b6174",
			want: &CMW{Form: CBORCollection, CollectionType: typeKATandPAT, Members: []Member{
				{labelKAT, record(profile.Format{MediaType: MediaTypeCWT}, "d0", 0)}, {labelPAT, record(profile.Format{MediaType: MediaTypeCWT}, "d1", 0)}}}},
		{name: "JSON collection", json: `{"attester A":["application/eat-ucs+json","e30K",4],"attester B":["application/eat-ucs+cbor","oA",4]}`,
			want: &CMW{Form: JSONCollection, Members: []Member{
				{"attester A", &CMW{Form: JSONRecord, Format: profile.Format{MediaType: "application/eat-ucs+json"}, Value: []byte("{}\n"), Indicator: 4}},
				{"attester B", &CMW{Form: JSONRecord, Format: profile.Format{MediaType: "application/eat-ucs+cbor"}, Value: []byte{0xa0}, Indicator: 4}}}}},
		{name: "indefinite record", hex: "9f 190107 41d2 04 ff", want: record(cwt, "d2", IndEvidence), readOnly: true},
		{name: "indefinite record without ind", hex: "9f 190107 41d2 ff", want: record(cwt, "d2", 0), readOnly: true},
		{name: "indefinite value", hex: "82 190107 5f 41d2 40 41d3 ff", want: record(cwt, "d2d3", 0), readOnly: true},
		{name: "longer heads", hex: "9802 1a00000107 590001d2", want: record(cwt, "d2", 0), readOnly: true},
		{name: "tag in a longer form", hex: "db0000000063740209 41d2", want: &CMW{Form: CBORTag, Format: cwt, Value: []byte{0xd2}}, readOnly: true},
		{name: "indefinite collection", hex: "bf 7f6161ff 82190107 41d2 ff", readOnly: true,
			want: &CMW{Form: CBORCollection, Members: []Member{{"a", record(cwt, "d2", 0)}}}},
		{name: "integer labels", hex: "a2 00 83 19fde7 44 2347da55 04 20 da6374ffe6 44 2347da55", readOnly: true,
			want: &CMW{Form: CBORCollection, Members: []Member{
				{int64(0), record(profile.Format{ContentFormat: 64999}, "2347da55", 4)},
				{int64(-1), &CMW{Form: CBORTag, Format: profile.Format{ContentFormat: 64999}, Value: unhex(t, "2347da55")}}}}},
	} {
		b := append(unhex(t, test.hex), test.json...)
		got, err := ParseCMW(b, Limits{})
		if err != nil {
			t.Errorf("%s: %v", test.name, err)
			continue
		}
		if !reflect.DeepEqual(got, test.want) {
			t.Errorf("%s: read %+v, want %+v", test.name, got, test.want)
		}
		if test.readOnly {
			continue
		}
		if back, err := test.want.Encode(); err != nil || !bytes.Equal(back, b) {
			t.Errorf("%s: wrote %x (%v), want %x", test.name, back, err, b)
		}
	}
}

// TestContentFormat checks the TN transform of RFC 9277 4.3: the divisor is 255 and the
// multiplier 256.
func TestContentFormat(t *testing.T) {
	for tag, want := range map[uint64]uint16{0x63740101: 0, 1668546877: 60, 1668547081: 263, 1668547086: 268, 1668547091: 273, 1668612070: 64999, 1668612095: 65024} {
		if got, ok := contentFormat(tag); !ok || got != want {
			t.Errorf("tag %d: %d, %v; want %d", tag, got, ok, want)
		}
	}
	for _, tag := range []uint64{0, 18, 0x63740100, 0x63740200, 0x6374ff00, 0x63750000, 0x63750001} {
		if got, ok := contentFormat(tag); ok {
			t.Errorf("tag %x stands for content format %d", tag, got)
		}
	}
}

func TestMatches(t *testing.T) {
	format := func(s any) profile.Format {
		if n, ok := s.(int); ok {
			return profile.Format{ContentFormat: uint16(n)}
		}
		return profile.Format{MediaType: s.(string)}
	}
	const psa = `application/eat+cwt; eat_profile="tag:psacertified.org,2023:psa#tfm"`
	for _, test := range []struct {
		got, want                     any
		equal, withParameters, ignore bool
	}{
		{263, 263, true, true, true},
		{263, MediaTypeCWT, true, true, true},
		{MediaTypeCWT, 263, true, true, true},
		{"Application/EAT+CWT", 263, true, true, true},
		{10003, psa, true, true, true},
		{psa, 263, false, true, true},
		{psa, strings.Replace(psa, "tag:psa", "TAG:PSA", 1), true, true, true},
		{"a/b; x=y", "a/b; x=Y", false, false, true},
		{"a/b; x=y", "a/b; z=y", false, false, true},
		{263, psa, false, false, true},
		{264, 263, false, false, true},
		{1, 1, true, true, true},
		{1, 2, false, false, true},
		{"no type", 263, false, false, true},
	} {
		for m, want := range map[profile.FormatMatch]bool{profile.MatchEqual: test.equal, profile.MatchWithParameters: test.withParameters, profile.MatchIgnore: test.ignore} {
			if err := Matches(format(test.got), format(test.want), m); (err == nil) != want {
				t.Errorf("%v under %v, match %d: %v", test.got, test.want, m, err)
			}
		}
	}
	// A collection matches as its members do.
	c := &CMW{Form: CBORCollection, Members: []Member{{"a", &CMW{Format: format(263)}}, {"b", &CMW{Format: format(264)}}}}
	if err := c.Match(format(263), profile.MatchEqual); err == nil || err.Field != "b.type" || err.Failure != attls.FailFormatMismatch {
		t.Errorf("a collection with one foreign member: %v", err)
	}
}
