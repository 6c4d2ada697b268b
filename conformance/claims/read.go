package claims

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
)

// maxClaims bounds what ReadClaims reads, in octets.
const maxClaims = 64 << 20

// ReadClaims reads one line of claims, the last of several.
func ReadClaims(r io.Reader) (*Claims, error) {
	d := json.NewDecoder(bufio.NewReader(io.LimitReader(r, maxClaims)))
	var last *Claims
	for {
		var c Claims
		if err := d.Decode(&c); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			return nil, fmt.Errorf("no line of claims: %w", err)
		}
		last = &c
	}
	if last == nil || last.Schema != ClaimsSchema {
		return nil, fmt.Errorf("no claims of the schema %s", ClaimsSchema)
	}
	return last, nil
}
