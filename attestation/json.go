package attestation

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"reflect"
	"slices"
	"strings"
	"unicode/utf8"
)

// maxJSONDepth bounds objects and arrays in each other.
const maxJSONDepth = 32

// strictJSON reads one JSON value: objects as map[string]any, numbers as
// json.Number. encoding/json by itself folds the case of names, keeps the last of
// two members of one name and replaces what is not UTF-8, so that two readers of
// one text may see two values. Here a name counts once and as it is written.
func strictJSON(b []byte) (any, error) {
	if !utf8.Valid(b) {
		return nil, errors.New("JSON that is not UTF-8 (RFC 8259 8.1)")
	}
	d := json.NewDecoder(bytes.NewReader(b))
	d.UseNumber()
	v, err := jsonValue(d, 0)
	if err != nil {
		return nil, err
	}
	if _, err := d.Token(); err != io.EOF {
		return nil, errors.New("more follows the JSON value")
	}
	return v, nil
}

func jsonValue(d *json.Decoder, depth int) (any, error) {
	t, err := d.Token()
	if err == io.EOF {
		err = io.ErrUnexpectedEOF
	}
	if err != nil {
		return nil, err
	}
	if depth > maxJSONDepth {
		return nil, fmt.Errorf("JSON nested deeper than %d levels", maxJSONDepth)
	}
	switch t {
	case json.Delim('{'):
		m := map[string]any{}
		for d.More() {
			name, err := d.Token()
			if err != nil {
				return nil, err
			}
			key, _ := name.(string)
			if _, ok := m[key]; ok {
				return nil, fmt.Errorf("the member %q appears twice (RFC 8259 4)", key)
			}
			if m[key], err = jsonValue(d, depth+1); err != nil {
				return nil, err
			}
		}
		_, err := d.Token() // the closing brace
		return m, err
	case json.Delim('['):
		list := []any{}
		for d.More() {
			v, err := jsonValue(d, depth+1)
			if err != nil {
				return nil, err
			}
			list = append(list, v)
		}
		_, err := d.Token()
		return list, err
	}
	return t, nil
}

// strictObject is strictJSON of an object.
func strictObject(b []byte) (map[string]any, error) {
	v, err := strictJSON(b)
	if err != nil {
		return nil, err
	}
	m, ok := v.(map[string]any)
	if !ok {
		return nil, errors.New("not a JSON object")
	}
	return m, nil
}

// ReadJSON reads one JSON object and nothing else into a structure. Members are those of
// the structure, once each and spelt as they are there.
func ReadJSON(b []byte, v any) error { return readJSON(b, v) }

// readJSON reads one JSON object and nothing else into a structure. Members are
// those of the structure, once each and spelt as they are there.
func readJSON(b []byte, v any) error {
	raw, err := strictJSON(b)
	if err != nil {
		return err
	}
	if err := knownNames(raw, reflect.TypeOf(v)); err != nil {
		return err
	}
	return json.Unmarshal(b, v)
}

// knownNames refuses members that a type does not have.
func knownNames(raw any, t reflect.Type) error {
	for t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	switch v := raw.(type) {
	case []any:
		if t.Kind() != reflect.Slice {
			return nil // of another type, which Unmarshal says
		}
		for _, x := range v {
			if err := knownNames(x, t.Elem()); err != nil {
				return err
			}
		}
	case map[string]any:
		if t.Kind() != reflect.Struct {
			return nil
		}
		types := map[string]reflect.Type{}
		for i := range t.NumField() {
			name, _, _ := strings.Cut(t.Field(i).Tag.Get("json"), ",")
			types[name] = t.Field(i).Type
		}
		for name, x := range v {
			field, ok := types[name]
			if !ok || name == "" {
				var names []string
				for known := range types {
					names = append(names, known)
				}
				slices.Sort(names)
				return fmt.Errorf("unknown member %q; members are %s", name, strings.Join(names, ", "))
			}
			if err := knownNames(x, field); err != nil {
				return err
			}
		}
	}
	return nil
}

// ParseJSON reads one JSON object and nothing else: names count once and as they are
// written, numbers are json.Number.
func ParseJSON(b []byte) (map[string]any, error) { return strictObject(b) }
