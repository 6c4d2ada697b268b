package profile

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"slices"
	"strconv"
	"strings"

	"attls/extensions/profile/binder"
	"attls/extensions/schema"
)

// IsCompiled reports whether a text says that it is a compiled profile.
func IsCompiled(src []byte) bool { return bytes.HasPrefix(src, []byte(compiledMagic+" ")) }

// maxRecords bounds the lines of a compiled profile.
const maxRecords = 1 << 15

// decodeCompiled reads a compiled profile. It accepts what Compiled writes and nothing
// else, so that two programs never read one file in two ways.
func decodeCompiled(file string, src []byte, o Options) (*Profile, error) {
	r := &recordReader{file: file}
	doc, readings := r.read(src)
	if r.problem != nil {
		return nil, schema.Problems{r.problem}
	}
	for name := range o.Readings {
		return nil, schema.Problems{problem(given, ProblemSwitch,
			"the switch %s is settled: a compiled profile has one reading of each", name)}
	}
	p, err := compileDocument(doc, Options{})
	if err != nil {
		return nil, err
	}
	p.Readings = readings
	again, err := p.Compiled()
	if err != nil {
		return nil, err
	}
	if !bytes.Equal(again, src) {
		return nil, schema.Problems{problem(r.firstDifference(src, again), ProblemFile,
			"the profile is not written as the format says from here on").
			Advise("let attls profile compile write it again")}
	}
	if len(o.CodePoints) == 0 {
		return p, nil
	}
	if p, err = compileDocument(doc, o); err != nil {
		return nil, err
	}
	p.Readings = readings
	return p, nil
}

// recordReader reads lines of fields.
type recordReader struct {
	file    string
	lines   []string
	at      int // index of the next line
	problem *schema.Problem
}

func (r *recordReader) pos(line int) schema.Position {
	return schema.Position{File: r.file, Line: line + 1, Column: 1}
}

func (r *recordReader) firstDifference(a, b []byte) schema.Position {
	x, y := strings.Split(string(a), "\n"), strings.Split(string(b), "\n")
	for i := range x {
		if i >= len(y) || x[i] != y[i] {
			return r.pos(i)
		}
	}
	return r.pos(len(x) - 1)
}

// fail keeps the first problem, which is at the line that was read last.
func (r *recordReader) fail(format string, args ...any) {
	if r.problem == nil {
		r.problem = problem(r.pos(max(0, r.at-1)), ProblemFile, format, args...)
	}
}

// read checks the frame of a file and reads what is in it.
func (r *recordReader) read(src []byte) (*value, []Reading) {
	if len(src) > MaxCompiled {
		r.fail("%d octets; a compiled profile has at most %d", len(src), MaxCompiled)
		return nil, nil
	}
	first, _, _ := strings.Cut(string(src), "\n")
	if want := compiledMagic + " " + strconv.Itoa(CompiledVersion); first != want {
		r.fail("the first line is %.80q; this version of attls reads %q", first, want)
		return nil, nil
	}
	end := bytes.LastIndex(src, []byte("\n"+checksumWord+" ")) + 1
	sum := sha256.Sum256(src[:end])
	if end == 0 || string(src[end:]) != checksumWord+" "+hex.EncodeToString(sum[:])+"\n" {
		r.at = bytes.Count(src, []byte("\n"))
		r.fail("the last line is not the SHA-256 checksum of the lines before it: the file was changed or cut off")
		return nil, nil
	}
	r.lines = strings.Split(strings.TrimSuffix(string(src[:end]), "\n"), "\n")
	if len(r.lines) > maxRecords {
		r.fail("%d lines; a compiled profile has at most %d", len(r.lines), maxRecords)
		return nil, nil
	}
	r.at = 1
	doc := &value{form: formMap, pos: r.pos(0)}
	for r.more() && r.entry(doc) {
	}
	var readings []Reading
	for r.more() && r.word() == recordReading {
		readings = append(readings, r.reading())
	}
	if types := r.types(); r.problem == nil && len(types.Definitions) > 0 {
		text := &value{form: formScalar, pos: doc.pos, text: types.String(), origin: &origin{first: doc.pos}}
		doc.entries = append(doc.entries, &entry{"types", doc.pos,
			&value{form: formTypes, pos: doc.pos, items: []*value{text}}})
	}
	if r.problem == nil && r.at < len(r.lines) {
		r.at++
		r.fail("no record is expected here: %.80q", r.lines[r.at-1])
	}
	return doc, readings
}

func (r *recordReader) more() bool { return r.problem == nil && r.at < len(r.lines) }

// word is the first field of the next line.
func (r *recordReader) word() string {
	w, _, _ := strings.Cut(r.lines[r.at], " ")
	return w
}

// next takes the next line with its number of fields, least to most, the word included;
// most below 0: any number.
func (r *recordReader) next(least, most int) []string {
	if r.at >= len(r.lines) {
		r.fail("the file ends in the middle of a record")
		return make([]string, least)
	}
	f := strings.Split(r.lines[r.at], " ")
	r.at++
	if len(f) < least || most >= 0 && len(f) > most {
		r.fail("%d fields in a line of %.40q", len(f), f[0])
		return make([]string, least)
	}
	return f
}

// text reads a field that textField wrote.
func (r *recordReader) text(field string) string {
	if field == "%" {
		return ""
	}
	var b strings.Builder
	for i := 0; i < len(field); i++ {
		if field[i] != '%' {
			b.WriteByte(field[i])
			continue
		}
		if i+3 > len(field) {
			r.fail("%.80q ends in the middle of an octet", field)
			return ""
		}
		octet, err := hex.DecodeString(field[i+1 : i+3])
		if err != nil {
			r.fail("%.80q has no two hexadecimal digits after %%", field)
			return ""
		}
		b.WriteByte(octet[0])
		i += 2
	}
	return b.String()
}

func (r *recordReader) number(field string, bits int) uint64 {
	n, err := strconv.ParseUint(field, 10, bits)
	if err != nil {
		r.fail("%.40q is not a number of at most %d bits", field, bits)
	}
	return n
}

// entry reads one record of the document into it, or reports that there is none.
func (r *recordReader) entry(doc *value) bool {
	word := r.word()
	if word != recordMap && word != recordKey && word != recordList && word != recordExpression {
		return false
	}
	f := r.next(2, -1)
	v := &value{pos: r.pos(r.at - 1)}
	switch {
	case word == recordList:
		v.form = formList
		for _, x := range f[2:] {
			v.items = append(v.items, &value{form: formScalar, pos: v.pos, text: r.text(x)})
		}
	case word == recordKey && len(f) == 3:
		v.form, v.text = formScalar, r.text(f[2])
	case word == recordMap && len(f) == 2:
		v.form = formMap
	case word == recordExpression && len(f) == 2:
		v.form, v.text = formScalar, r.expression()
	default:
		r.fail("%d fields in a line of %s", len(f), word)
	}
	r.put(doc, f[1], v)
	return true
}

// put adds a value under its path.
func (r *recordReader) put(doc *value, path string, v *value) {
	names := strings.Split(path, "/")
	if len(names) > maxNesting {
		r.fail("a path of more than %d names", maxNesting)
		return
	}
	m := doc
	for _, name := range names[:len(names)-1] {
		m = m.get(r.text(name))
		if m == nil || m.form != formMap {
			r.fail("there is no map in front of %.80q", path)
			return
		}
	}
	name := r.text(names[len(names)-1])
	if n := len(m.entries); n > 0 && m.entries[n-1].key >= name {
		r.fail("%.80q is not behind %.80q, as the order of names has it", name, m.entries[n-1].key)
		return
	}
	m.entries = append(m.entries, &entry{name, v.pos, v})
}

// expression reads a tree and writes it as the text that has it.
func (r *recordReader) expression() string {
	var list []binder.Node
	for open := 1; open > 0 && r.problem == nil; open-- {
		n := r.node()
		list = append(list, n)
		if n.Kind == binder.NodeCall {
			open += n.Number
			if n.Name == "cbor_map" { // each argument has a key
				open += n.Number
			}
		}
	}
	text, err := binder.Text(list)
	if err != nil {
		r.fail("%v", err)
	}
	return text
}

func (r *recordReader) node() (n binder.Node) {
	f := r.next(2, 3)
	known := false
	for kind, word := range nodeWords {
		if word == f[0] {
			n.Kind, known = kind, true
		}
	}
	if wide := n.Kind != binder.NodeOctets && n.Kind != binder.NodeInteger; !known || wide != (len(f) == 3) {
		r.fail("%.80q is not a node of an expression", strings.Join(f, " "))
		return n
	}
	switch n.Kind {
	case binder.NodeOctets:
		var ok bool
		if n.Octets, ok = octetsOf(f[1]); !ok {
			r.fail("%.80q is not 0x and pairs of hexadecimal digits", f[1])
		}
	case binder.NodeInteger:
		n.Number = int(r.number(f[1], 31))
	case binder.NodeCall:
		n.Name, n.Number = f[1], int(r.number(f[2], 12))
	default:
		n.Name = f[1]
		if f[2] != noField {
			n.Role = f[2]
		}
		if n.Kind == binder.NodeRange {
			n.Name, n.Exclusive = strings.CutPrefix(f[1], "<")
		}
	}
	return n
}

func (r *recordReader) reading() Reading {
	f := r.next(6, 6)
	return Reading{Switch: r.text(f[1]), Chosen: r.text(f[2]), Default: r.text(f[3]), AMB: r.text(f[4]),
		Why: r.text(f[5]), Options: []string{r.text(f[2])}}
}

// types reads the definitions.
func (r *recordReader) types() *schema.File {
	file := &schema.File{Name: r.file}
	for r.more() {
		d := &schema.Definition{}
		switch r.word() {
		case recordEnum:
			r.enum(d)
		case recordStruct:
			d.Name = r.next(2, 2)[1]
			d.Struct = &schema.StructDecl{Members: r.members(0)}
			r.end()
		case recordAlias:
			f := r.next(4, -1)
			d.Name = f[1]
			d.Alias = &schema.FieldDecl{Name: f[1], Type: f[2]}
			r.dimension(d.Alias, f[3:])
		default:
			return file
		}
		file.Definitions = append(file.Definitions, d)
	}
	return file
}

func (r *recordReader) end() {
	if f := r.next(1, -1); len(f) > 1 || f[0] != recordEnd {
		r.fail("%.80q where end is expected", strings.Join(f, " "))
	}
}

func numberExpr(n uint64) *schema.Expr {
	return &schema.Expr{Text: strconv.FormatUint(n, 10), Num: n}
}

func (r *recordReader) enum(d *schema.Definition) {
	f := r.next(3, 3)
	d.Name, d.Enum = f[1], &schema.EnumDecl{}
	width := r.number(f[2], 3)
	if width < 1 || width > 4 {
		r.fail("an enum of %.40q octets", f[2])
		return
	}
	for r.more() && r.word() == recordEnumerator {
		f := r.next(4, 4)
		m := schema.Enumerator{Name: f[1], Value: numberExpr(r.number(f[2], 32))}
		if f[3] != f[2] {
			m.Last = numberExpr(r.number(f[3], 32))
		}
		d.Enum.Members = append(d.Enum.Members, m)
	}
	d.Enum.Members = append(d.Enum.Members, schema.Enumerator{Value: numberExpr(1<<(8*width) - 1)})
}

// maxSelects bounds selects in each other.
const maxSelects = 16

// members reads fields and selects up to the line that ends them.
func (r *recordReader) members(depth int) (list []schema.Member) {
	if depth > maxSelects {
		r.fail("selects are nested more than %d deep", maxSelects)
	}
	for r.more() {
		switch r.word() {
		case recordField:
			f := r.next(4, -1)
			d := &schema.FieldDecl{Name: r.text(f[1]), Type: f[2]}
			r.dimension(d, f[3:])
			list = append(list, schema.Member{Field: d})
		case recordSelect:
			f := r.next(3, 3)
			s := &schema.SelectDecl{On: strings.TrimPrefix(f[1], schema.FieldPrefix), Label: r.text(f[2])}
			for r.more() && r.word() == recordArm {
				r.next(1, 1)
				a := schema.Arm{}
				for r.more() && r.word() == recordCase {
					a.Cases = append(a.Cases, r.choice())
				}
				a.Members = r.members(depth + 1)
				if len(a.Cases) == 0 || len(a.Members) == 0 {
					r.fail("an arm has cases and members")
				}
				s.Arms = append(s.Arms, a)
			}
			if len(s.Arms) == 0 {
				r.fail("a select has arms")
			}
			r.end()
			list = append(list, schema.Member{Select: s})
		default:
			return list
		}
	}
	return list
}

func (r *recordReader) choice() schema.Case {
	f := r.next(2, 4)
	c := schema.Case{Name: f[1]}
	if f[1] != "" && f[1][0] >= '0' && f[1][0] <= '9' {
		c = schema.Case{Number: numberExpr(r.number(f[1], 64))}
	}
	return c
}

func (r *recordReader) dimension(d *schema.FieldDecl, f []string) {
	switch {
	case len(f) == 1 && f[0] == noField:
	case len(f) == 3 && f[0] == "vector":
		d.Floor, d.Ceiling = numberExpr(r.number(f[1], 64)), numberExpr(r.number(f[2], 64))
	case len(f) == 2 && f[0] == "constant":
		d.Constant = numberExpr(r.number(f[1], 64))
	case len(f) > 1 && f[0] == "array":
		rest := f[1:]
		d.Array = r.length(&rest)
		if len(rest) > 0 {
			r.fail("%.80q is left over after a complete length", strings.Join(rest, " "))
		}
	default:
		r.fail("%.80q is not a dimension of a field", strings.Join(f, " "))
	}
}

// length reads an expression with its operators in front of their operands.
func (r *recordReader) length(rest *[]string) *schema.Expr {
	const most = 64 // nodes of a length
	if len(*rest) == 0 || len(*rest) > most {
		r.fail("a length has 1 to %d parts, and operators have two operands", most)
		return numberExpr(1)
	}
	f := (*rest)[0]
	*rest = (*rest)[1:]
	switch {
	case len(f) == 1 && slices.Contains([]string{"+", "-", "*", "^"}, f):
		x := r.length(rest)
		return &schema.Expr{Op: f[0], X: x, Y: r.length(rest)}
	case f != "" && f[0] >= '0' && f[0] <= '9':
		return numberExpr(r.number(f, 64))
	}
	return &schema.Expr{Name: true, Text: strings.TrimPrefix(f, schema.FieldPrefix)}
}
