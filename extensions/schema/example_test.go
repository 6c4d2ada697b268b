package schema_test

import (
	"fmt"

	"attls"
	"attls/extensions/schema"
)

// A structure of a draft, in a ClientHello.
func Example() {
	file, err := schema.Parse([]byte(`
		enum { CONTENT_FORMAT(0), MEDIA_TYPE(1) } typeEncoding;
		struct {
			typeEncoding type_encoding;
			select (EvidenceType.type_encoding) {
				case CONTENT_FORMAT: uint16 content_format;
				case MEDIA_TYPE: opaque media_type<0..2^16-1>;
			};
		} EvidenceType;
		struct {
			select (Handshake.msg_type) {
				case client_hello: EvidenceType supported_evidence_types<1..2^8-1>;
				case encrypted_extensions: EvidenceType selected_evidence_type;
			};
		} evidenceRequestTypeExtension;`), schema.Position{File: "draft"})
	if err != nil {
		fmt.Println(err)
		return
	}
	types, problems := schema.Compile(schema.DefaultEnvironment(), file)
	if err := problems.Err(); err != nil {
		fmt.Println(err)
		return
	}
	codec, err := types.Codec("evidenceRequestTypeExtension", schema.Context{Message: attls.KindClientHello})
	if err != nil {
		fmt.Println(err)
		return
	}

	var offer schema.Value
	if err := offer.Set("supported_evidence_types[0].content_format", schema.Number(263)); err != nil {
		fmt.Println(err)
		return
	}
	body, failure := codec.Encode(offer) // type_encoding follows from the arm that is filled
	if failure != nil {
		fmt.Println(failure)
		return
	}
	value, failure := codec.Decode(body)
	if failure != nil {
		fmt.Println(failure)
		return
	}
	fmt.Print(value.Dump(0, 16))
	_, failure = codec.Decode([]byte{3, 2, 1, 7})
	fmt.Println(failure.Offset, failure)
	// Output:
	// 000000  03                        supported_evidence_types = 1 element in 3 octets
	// 000001                              [0]
	// 000001  00                            type_encoding = CONTENT_FORMAT(0)
	// 000002  01 07                         content_format = 263 (0x107)
	// 1 attls: supported_evidence_types[0]: EvidenceType.type_encoding is 2: no case of the select is for it [decode.malformed]
}
