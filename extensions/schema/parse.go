package schema

import (
	"strconv"
	"strings"
)

const (
	maxSource   = 1 << 18 // octets of a text
	maxNesting  = 16      // selects inside selects, parentheses inside parentheses
	maxProblems = 20      // reported for one text

	// Some steps compare each with each, so these bound their work.
	maxDefinitions = 512  // in one text
	maxMembers     = 512  // fields, arms or enumerators of one definition
	maxAll         = 4096 // of all definitions of a text
)

// Parse reads a text. at is the position of its first character, whose column
// is also that of the first character of every further line, so that a text
// inside an indented block of another file gets positions of that file; zero
// line and column mean 1.
//
// The error is a Problems with everything that is wrong with the syntax; the
// File then holds the definitions that could be read.
func Parse(src []byte, at Position) (*File, error) {
	at.Line, at.Column = max(at.Line, 1), max(at.Column, 1)
	f := &File{Name: at.File}
	if len(src) > maxSource {
		return f, Problems{problem(at, ProblemSyntax, "%d octets of text; at most %d are read", len(src), maxSource)}
	}
	p := &parser{lex: lexer{src: src, pos: at, indent: at.Column}}
	var found Problems
	problem := p.advance()
	for problem != nil || p.tok.kind != tokenEnd {
		var d *Definition
		if problem == nil {
			d, problem = p.definition()
		}
		if problem == nil && (len(f.Definitions) == maxDefinitions || p.all > maxAll) {
			return f, append(found, p.tooMany())
		}
		if problem == nil {
			f.Definitions = append(f.Definitions, d)
			continue
		}
		found = append(found, problem)
		if len(found) == maxProblems {
			break
		}
		problem = p.recover()
	}
	if len(found) > 0 {
		return f, found
	}
	return f, nil
}

// parser is a recursive descent over the tokens, one token ahead.
type parser struct {
	lex    lexer
	tok    token
	braces int // open braces before tok
	begins []begin
	deep   int
	own    int // members of the definition
	all    int // members of all
}

// count counts one member more.
func (p *parser) count() *Problem {
	p.own++
	if p.all++; p.own > maxMembers || p.all > maxAll {
		return p.tooMany()
	}
	return nil
}

func (p *parser) tooMany() *Problem {
	return problem(p.tok.pos, ProblemDepth,
		"a text has at most %d definitions, each of at most %d members, and %d members in all", maxDefinitions,
		maxMembers, maxAll)
}

// begin is where a struct, an enum or a select of the definition begins whose brace
// is open.
type begin struct {
	what string
	pos  Position
}

// unclosed says what is not closed, in front of a token that shows it.
func (p *parser) unclosed() *Problem {
	b := p.begins[len(p.begins)-1]
	return problem(b.pos, ProblemSyntax, "the %s that begins here is not closed before %s in line %d", b.what,
		p.tok, p.tok.pos.Line).
		advise("close it with } in front of that")
}

// missesBrace reports whether a token shows that a brace was forgotten.
func (p *parser) missesBrace() bool {
	if len(p.begins) == 0 || p.tok.kind == tokenEnd {
		return len(p.begins) > 0
	}
	at, first := p.tok.pos, p.begins[0].pos
	return (p.isWord("struct") || p.isWord("enum")) && at.Line > first.Line && at.Column <= first.Column
}

func (p *parser) advance() *Problem {
	switch {
	case p.tok.kind == tokenMark && p.tok.text == "{":
		p.braces++
	case p.tok.kind == tokenMark && p.tok.text == "}":
		p.braces--
	}
	var bad *Problem
	p.tok, bad = p.lex.next()
	return bad
}

// recover passes over the rest of a definition that could not be read. What
// the lexer refuses on the way belongs to that definition and is not reported.
func (p *parser) recover() *Problem {
	for p.tok.kind != tokenEnd {
		if p.is(";") && p.braces <= 0 {
			p.braces = 0
			return p.advance()
		}
		_ = p.advance()
	}
	return nil
}

func (p *parser) is(mark string) bool { return p.tok.kind == tokenMark && p.tok.text == mark }

func (p *parser) isWord(word string) bool { return p.tok.kind == tokenName && p.tok.text == word }

func (p *parser) expected(what string) *Problem {
	return problem(p.tok.pos, ProblemSyntax, "%s where %s is expected", p.tok, what)
}

func (p *parser) take(mark string) *Problem {
	if !p.is(mark) {
		return p.expected(strconv.Quote(mark))
	}
	return p.advance()
}

// reserved are the words that name no type and no field.
var reserved = map[string]bool{"struct": true, "enum": true, "select": true, "case": true,
	"opaque": true, "uint8": true, "uint16": true, "uint24": true, "uint32": true, "uint64": true}

func (p *parser) name(what string) (string, Position, *Problem) {
	t := p.tok
	if t.kind != tokenName {
		return "", t.pos, p.expected(what)
	}
	if reserved[t.text] {
		return "", t.pos, p.expected(what).advise("%q is a word of the language", t.text)
	}
	return t.text, t.pos, p.advance()
}

func (p *parser) nest() *Problem {
	if p.deep++; p.deep > maxNesting {
		return problem(p.tok.pos, ProblemDepth, "nested more than %d deep", maxNesting)
	}
	return nil
}

func (p *parser) definition() (*Definition, *Problem) {
	p.deep, p.own, p.begins = 0, 0, nil
	switch {
	case p.isWord("enum"):
		return p.enum()
	case p.isWord("struct"):
		return p.structure()
	case p.isWord("select") || p.isWord("case"):
		return nil, p.expected("a definition").advise("a select belongs inside a struct")
	}
	pos := p.tok.pos
	f, bad := p.field()
	if bad != nil {
		return nil, bad
	}
	if f.Name == "" || f.Constant != nil {
		return nil, problem(pos, ProblemSyntax, "a definition gives a type a name").
			advise("write: type Name; or type Name[octets]; or type Name<floor..ceiling>;")
	}
	return &Definition{Pos: pos, Name: f.Name, Alias: f}, nil
}

// closing reads "} Name ;" after the body of a definition.
func (p *parser) closing(d *Definition) (*Definition, *Problem) {
	bad := p.take("}")
	if bad == nil {
		d.Name, d.Pos, bad = p.name("the name of the type")
	}
	if bad == nil {
		bad = p.take(";")
	}
	return d, bad
}

func (p *parser) enum() (*Definition, *Problem) {
	d := &EnumDecl{Pos: p.tok.pos}
	p.begins = append(p.begins, begin{"enum", p.tok.pos})
	if bad := p.advance(); bad != nil {
		return nil, bad
	}
	if bad := p.take("{"); bad != nil {
		return nil, bad
	}
	for !p.is("}") {
		if p.missesBrace() {
			return nil, p.unclosed()
		}
		e, bad := p.enumerator()
		if bad != nil {
			return nil, bad
		}
		d.Members = append(d.Members, e)
		if !p.is(",") {
			break
		}
		if bad := p.advance(); bad != nil {
			return nil, bad
		}
	}
	return p.closing(&Definition{Enum: d})
}

func (p *parser) enumerator() (e Enumerator, bad *Problem) {
	if bad = p.count(); bad != nil {
		return e, bad
	}
	e.Pos = p.tok.pos
	if !p.is("(") {
		if e.Name, _, bad = p.name("the name of an enumerator"); bad != nil || !p.is("(") {
			return e, bad
		}
	}
	if bad = p.advance(); bad != nil {
		return e, bad
	}
	if e.Name != "" && p.tok.kind == tokenName {
		if !strings.HasPrefix(p.tok.text, "TBD") {
			return e, p.expected("a number or TBD")
		}
		e.TBD = true
		if bad = p.advance(); bad != nil {
			return e, bad
		}
		return e, p.take(")")
	}
	if e.Value, bad = p.number(); bad != nil {
		return e, bad
	}
	if p.is("..") {
		if bad = p.advance(); bad != nil {
			return e, bad
		}
		if e.Last, bad = p.number(); bad != nil {
			return e, bad
		}
	}
	return e, p.take(")")
}

func (p *parser) structure() (*Definition, *Problem) {
	d := &StructDecl{Pos: p.tok.pos}
	p.begins = append(p.begins, begin{"struct", p.tok.pos})
	bad := p.advance()
	if bad == nil {
		bad = p.take("{")
	}
	if bad == nil {
		d.Members, bad = p.members(false)
	}
	if bad != nil {
		return nil, bad
	}
	return p.closing(&Definition{Struct: d})
}

// members reads fields and selects up to a closing brace, or up to the next
// case inside an arm.
func (p *parser) members(arm bool) (list []Member, bad *Problem) {
	for !p.is("}") && !(arm && p.isWord("case")) {
		if p.missesBrace() {
			return nil, p.unclosed()
		}
		var m Member
		if bad = p.count(); bad != nil {
			return nil, bad
		}
		if p.isWord("select") {
			m.Select, bad = p.choice()
		} else {
			m.Field, bad = p.field()
			if bad == nil && m.Field.Name == "" && !arm && p.missesBrace() {
				b := p.begins[len(p.begins)-1]
				return nil, problem(b.pos, ProblemSyntax, "the %s that begins here is not closed before its name %s in line %d",
					b.what, m.Field.Type, m.Field.Pos.Line).
					advise("write } %s;", m.Field.Type)
			}
			if bad == nil && m.Field.Name == "" && !arm {
				bad = problem(m.Field.Pos, ProblemSyntax, "a field of type %s without a name", m.Field.Type).
					advise("name it; only an arm of a select takes a bare type")
			}
		}
		if bad != nil {
			return nil, bad
		}
		list = append(list, m)
	}
	return list, nil
}

func (p *parser) field() (*FieldDecl, *Problem) {
	f := &FieldDecl{Pos: p.tok.pos, Type: p.tok.text}
	if p.tok.kind != tokenName {
		return nil, p.expected("a type")
	}
	switch f.Type {
	case "struct", "enum":
		return nil, problem(f.Pos, ProblemSyntax, "%s inside another definition", f.Type).
			advise("define it next to this one and use its name here")
	case "select", "case":
		return nil, p.expected("a type")
	}
	if bad := p.advance(); bad != nil {
		return nil, bad
	}
	if p.is(";") {
		return f, p.advance()
	}
	name, _, bad := p.name("the name of a field")
	if bad != nil {
		return nil, bad
	}
	f.Name = name
	if bad := p.dimension(f); bad != nil {
		return nil, bad
	}
	return f, p.take(";")
}

func (p *parser) dimension(f *FieldDecl) (bad *Problem) {
	switch {
	case p.is("["):
		if bad = p.advance(); bad == nil {
			f.Array, bad = p.sum()
		}
		if bad == nil {
			bad = p.take("]")
		}
	case p.is("<"):
		if bad = p.advance(); bad == nil {
			f.Floor, bad = p.sum()
		}
		if bad == nil {
			bad = p.take("..")
		}
		if bad == nil {
			f.Ceiling, bad = p.sum()
		}
		if bad == nil {
			bad = p.take(">")
		}
	case p.is("="):
		if bad = p.advance(); bad == nil {
			f.Constant, bad = p.sum()
		}
	}
	return bad
}

func (p *parser) choice() (*SelectDecl, *Problem) {
	s := &SelectDecl{Pos: p.tok.pos}
	if bad := p.nest(); bad != nil {
		return nil, bad
	}
	p.begins = append(p.begins, begin{"select", p.tok.pos})
	defer func() { p.deep-- }()
	bad := p.advance()
	if bad == nil {
		bad = p.take("(")
	}
	if bad == nil {
		s.On, s.OnPos, bad = p.qualified("a field or a parameter")
	}
	if bad == nil {
		bad = p.take(")")
	}
	if bad == nil {
		bad = p.take("{")
	}
	for bad == nil && !p.is("}") {
		var a Arm
		a, bad = p.arm()
		s.Arms = append(s.Arms, a)
	}
	if bad == nil && len(s.Arms) == 0 {
		bad = problem(s.Pos, ProblemSyntax, "a select without a case")
	}
	if bad != nil {
		return nil, bad
	}
	p.begins = p.begins[:len(p.begins)-1]
	if bad = p.advance(); bad != nil {
		return nil, bad
	}
	return s, p.label(s)
}

// label reads what follows the closing brace of a select: a semicolon, a name
// and a semicolon, or nothing, in which case the next member begins. A name is
// the label when a semicolon follows it.
func (p *parser) label(s *SelectDecl) *Problem {
	if p.is(";") {
		return p.advance()
	}
	if p.tok.kind != tokenName || reserved[p.tok.text] {
		return nil
	}
	ahead := p.lex
	if t, bad := ahead.next(); bad != nil || t.kind != tokenMark || t.text != ";" {
		return nil
	}
	s.Label = p.tok.text
	if bad := p.advance(); bad != nil {
		return bad
	}
	return p.advance()
}

func (p *parser) arm() (a Arm, bad *Problem) {
	a.Pos = p.tok.pos
	if p.missesBrace() {
		return a, p.unclosed()
	}
	if !p.isWord("case") {
		return a, p.expected(`"case" or "}"`)
	}
	for p.isWord("case") {
		if bad = p.count(); bad != nil {
			return a, bad
		}
		if bad = p.advance(); bad != nil {
			return a, bad
		}
		c := Case{Pos: p.tok.pos}
		if p.tok.kind == tokenNumber {
			c.Number, bad = p.number()
		} else {
			c.Name, _, bad = p.name("the name of an enumerator")
		}
		if bad == nil {
			bad = p.take(":")
		}
		if bad != nil {
			return a, bad
		}
		a.Cases = append(a.Cases, c)
	}
	if a.Members, bad = p.members(true); bad == nil && len(a.Members) == 0 {
		bad = problem(a.Pos, ProblemSyntax, "an arm without a field").
			advise(`define "struct { } Empty;" and write "Empty;" here`)
	}
	return a, bad
}

// qualified reads name or Type.name.
func (p *parser) qualified(what string) (string, Position, *Problem) {
	name, pos, bad := p.name(what)
	if bad != nil || !p.is(".") {
		return name, pos, bad
	}
	if bad = p.advance(); bad != nil {
		return name, pos, bad
	}
	field, _, bad := p.name("the name of a field")
	return name + "." + field, pos, bad
}

// sum, product, power and leaf read an expression; ^ binds strongest.
func (p *parser) sum() (*Expr, *Problem) { return p.binary("+-", p.product) }

func (p *parser) product() (*Expr, *Problem) { return p.binary("*", p.power) }

func (p *parser) power() (*Expr, *Problem) { return p.binary("^", p.leaf) }

func (p *parser) binary(ops string, operand func() (*Expr, *Problem)) (*Expr, *Problem) {
	defer func(deep int) { p.deep = deep }(p.deep)
	x, bad := operand()
	for bad == nil && p.tok.kind == tokenMark && len(p.tok.text) == 1 && strings.Contains(ops, p.tok.text) {
		e := &Expr{Pos: p.tok.pos, Op: p.tok.text[0], X: x}
		if bad = p.nest(); bad != nil {
			return nil, bad
		}
		if bad = p.advance(); bad == nil {
			e.Y, bad = operand()
		}
		x = e
	}
	return x, bad
}

func (p *parser) leaf() (*Expr, *Problem) {
	switch {
	case p.is("("):
		if bad := p.nest(); bad != nil {
			return nil, bad
		}
		defer func() { p.deep-- }()
		if bad := p.advance(); bad != nil {
			return nil, bad
		}
		e, bad := p.sum()
		if bad == nil {
			bad = p.take(")")
		}
		return e, bad
	case p.tok.kind == tokenName:
		name, pos, bad := p.qualified("a number")
		return &Expr{Pos: pos, Text: name, Name: true}, bad
	}
	return p.number()
}

func (p *parser) number() (*Expr, *Problem) {
	if p.tok.kind != tokenNumber {
		return nil, p.expected("a number")
	}
	e := &Expr{Pos: p.tok.pos, Text: p.tok.text}
	digits, base := e.Text, 10
	if hex, ok := strings.CutPrefix(strings.ToLower(e.Text), "0x"); ok {
		digits, base = hex, 16
	}
	n, err := strconv.ParseUint(digits, base, 64)
	if err != nil {
		return nil, problem(e.Pos, ProblemSyntax, "%q is not a number of at most 64 bits", e.Text).
			advise("write it in decimal, or in hexadecimal after 0x")
	}
	e.Num = n
	return e, p.advance()
}
