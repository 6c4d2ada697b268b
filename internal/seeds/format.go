package seeds

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"math"
	"reflect"
	"strconv"
	"strings"
)

// header begins an input in the format that Go's fuzzer reads and writes.
const header = "go test fuzz v1\n"

// Marshal writes the arguments of a fuzz function, without its *testing.T, as a file of
// testdata/fuzz. Files that follow each other are a corpus.
func Marshal(args []any) []byte {
	b := bytes.NewBufferString(header)
	for _, arg := range args {
		switch x := arg.(type) {
		case []byte:
			fmt.Fprintf(b, "[]byte(%q)\n", x)
		case string:
			fmt.Fprintf(b, "string(%q)\n", x)
		case byte:
			fmt.Fprintf(b, "byte(%q)\n", x)
		case float32:
			fmt.Fprintf(b, "math.Float32frombits(0x%x)\n", math.Float32bits(x))
		case float64:
			fmt.Fprintf(b, "math.Float64frombits(0x%x)\n", math.Float64bits(x))
		default:
			fmt.Fprintf(b, "%T(%v)\n", x, x)
		}
	}
	return b.Bytes()
}

// Unmarshal reads a corpus: files of testdata/fuzz that follow each other. Types are those of
// the fuzz function, as reflect prints them; nil: any. An error names the line.
func Unmarshal(corpus []byte, types []string) (list [][]any, err error) {
	var args []any
	open := false
	end := func(line int) error {
		if open && types != nil {
			if got := typesOf(args); strings.Join(got, ", ") != strings.Join(types, ", ") {
				return fmt.Errorf("line %d: an input of (%s), and the target takes (%s)", line, strings.Join(got, ", "),
					strings.Join(types, ", "))
			}
		}
		if open {
			list = append(list, args)
		}
		args, open = nil, true
		return nil
	}
	number := 0
	for line := range strings.Lines(string(corpus)) {
		number++
		text := strings.TrimSpace(line)
		switch {
		case text == strings.TrimSpace(header):
			err = end(number)
		case !open && text != "":
			err = fmt.Errorf("line %d: %.40q, which is not %q", number, text, strings.TrimSpace(header))
		case text != "":
			var arg any
			if arg, err = parse(text); err == nil {
				args = append(args, arg)
			} else {
				err = fmt.Errorf("line %d: %w", number, err)
			}
		}
		if err != nil {
			return nil, err
		}
	}
	if !open {
		return nil, fmt.Errorf("no input: %q is missing", strings.TrimSpace(header))
	}
	return list, end(number)
}

func typesOf(args []any) (list []string) {
	for _, arg := range args {
		list = append(list, reflect.TypeOf(arg).String())
	}
	return list
}

var errValue = errors.New("not a value of a fuzz target's")

// parse reads one value, such as []byte("ab").
func parse(text string) (any, error) {
	x, err := parser.ParseExpr(text)
	if err != nil {
		return nil, fmt.Errorf("%.40q is not a value: %w", text, err)
	}
	call, ok := x.(*ast.CallExpr)
	if !ok || len(call.Args) != 1 {
		return nil, fmt.Errorf("%.40q: %w", text, errValue)
	}
	name := text[call.Fun.Pos()-1 : call.Fun.End()-1]
	value := text[call.Args[0].Pos()-1 : call.Args[0].End()-1]
	arg, err := convert(name, value, call.Args[0])
	if err != nil {
		return nil, fmt.Errorf("%.40q: %w", text, err)
	}
	return arg, nil
}

// sizes are the types of whole numbers, with their bits.
var sizes = map[string]struct {
	kind reflect.Type
	bits int
}{
	"byte": {reflect.TypeFor[byte](), 8}, "uint8": {reflect.TypeFor[byte](), 8}, "uint16": {reflect.TypeFor[uint16](), 16},
	"uint32": {reflect.TypeFor[uint32](), 32}, "uint64": {reflect.TypeFor[uint64](), 64},
	"uint": {reflect.TypeFor[uint](), 64},
	"rune": {reflect.TypeFor[int32](), 32}, "int8": {reflect.TypeFor[int8](), 8}, "int16": {reflect.TypeFor[int16](), 16},
	"int32": {reflect.TypeFor[int32](), 32}, "int64": {reflect.TypeFor[int64](), 64}, "int": {reflect.TypeFor[int](), 64},
}

func convert(name, value string, x ast.Expr) (any, error) {
	literal, _ := x.(*ast.BasicLit)
	switch name {
	case "[]byte", "string":
		if literal == nil || literal.Kind != token.STRING {
			return nil, errValue
		}
		s, err := strconv.Unquote(value)
		if name == "string" {
			return s, err
		}
		return []byte(s), err
	case "bool":
		return strconv.ParseBool(value)
	case "float32", "float64":
		f, err := strconv.ParseFloat(value, 64)
		if name == "float32" {
			return float32(f), err
		}
		return f, err
	case "math.Float32frombits":
		n, err := strconv.ParseUint(value, 0, 32)
		return math.Float32frombits(uint32(n)), err
	case "math.Float64frombits":
		n, err := strconv.ParseUint(value, 0, 64)
		return math.Float64frombits(n), err
	}
	size, ok := sizes[name]
	if !ok {
		return nil, errValue
	}
	v := reflect.New(size.kind).Elem()
	if literal != nil && literal.Kind == token.CHAR {
		r, _, tail, err := strconv.UnquoteChar(value[1:len(value)-1], '\'')
		if err != nil || tail != "" || size.bits == 8 && r > math.MaxUint8 {
			return nil, errValue
		}
		value = strconv.Itoa(int(r))
	}
	if v.CanUint() {
		n, err := strconv.ParseUint(value, 0, size.bits)
		v.SetUint(n)
		return v.Interface(), err
	}
	n, err := strconv.ParseInt(value, 0, size.bits)
	v.SetInt(n)
	return v.Interface(), err
}

// Octets are the arguments of a fuzz function as OSS-Fuzz's build of Go targets takes them out of
// one string of octets: what has a fixed size, in the order of the arguments; an octet for each
// argument that has not, its share of what is left; and these arguments. Shares are coarse: where
// several arguments have no fixed size, the division is the nearest that such octets can say.
func Octets(args []any) []byte {
	var b []byte
	var open [][]byte
	total := 0
	for _, arg := range args {
		switch x := arg.(type) {
		case []byte:
			open = append(open, x)
		case string:
			open = append(open, []byte(x))
		case bool:
			n := byte(0)
			if x {
				n = 1
			}
			b = append(b, n)
		case int:
			b = binary.BigEndian.AppendUint64(b, uint64(x))
		case uint:
			b = binary.BigEndian.AppendUint64(b, uint64(x))
		default:
			b, _ = binary.Append(b, binary.BigEndian, x)
		}
	}
	for _, x := range open {
		total += len(x)
	}
	b = append(b, shares(open, total)...)
	for _, x := range open {
		b = append(b, x...)
	}
	return b
}

// shares are octets whose proportions are those of the lengths.
func shares(list [][]byte, total int) []byte {
	b := make([]byte, len(list))
	if len(list) == 1 || total == 0 {
		for i := range b {
			b[i] = 1
		}
		return b
	}
	best, off := b, math.MaxInt
	for scale := 1; scale <= math.MaxUint8; scale++ {
		try, sum := make([]byte, len(list)), 0
		for i, x := range list {
			try[i] = byte((len(x)*scale + total/2) / total)
			sum += int(try[i])
		}
		wrong := 0
		for i, x := range list[:len(list)-1] {
			n := total / len(list)
			if sum > 0 {
				n = total * int(try[i]) / sum
			}
			wrong += max(n-len(x), len(x)-n)
		}
		if wrong < off {
			best, off = try, wrong
		}
	}
	return best
}

// FromOctets takes arguments of these types, as reflect prints them, out of octets: the reverse of
// Octets. Octets that end early are followed by zeros.
func FromOctets(octets []byte, types []string) ([]any, error) {
	take := func(n int) []byte {
		b := make([]byte, n)
		octets = octets[copy(b, octets):]
		return b
	}
	args := make([]any, len(types))
	var open []int
	for i, name := range types {
		switch name {
		case "[]uint8", "string":
			open = append(open, i)
		case "bool":
			args[i] = take(1)[0]&1 != 0
		case "int":
			args[i] = int(binary.BigEndian.Uint64(take(8)))
		case "uint":
			args[i] = uint(binary.BigEndian.Uint64(take(8)))
		case "float32":
			args[i] = math.Float32frombits(binary.BigEndian.Uint32(take(4)))
		case "float64":
			args[i] = math.Float64frombits(binary.BigEndian.Uint64(take(8)))
		default:
			size, ok := sizes[name]
			if !ok {
				return nil, fmt.Errorf("%s: %w", name, errValue)
			}
			v := reflect.New(size.kind)
			if _, err := binary.Decode(take(size.bits/8), binary.BigEndian, v.Interface()); err != nil {
				return nil, err
			}
			args[i] = v.Elem().Interface()
		}
	}
	share, sum := take(len(open)), 0
	for _, n := range share {
		sum += int(n)
	}
	total := len(octets)
	for i, at := range open {
		n := total / len(open)
		if sum > 0 {
			n = total * int(share[i]) / sum
		}
		if i == len(open)-1 {
			n = len(octets)
		}
		b := take(n)
		args[at] = b
		if types[at] == "string" {
			args[at] = string(b)
		}
	}
	return args, nil
}
