package binder

import (
	"encoding/hex"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"attls/extensions/schema"
)

// Limits of a program; a profile that is not hostile stays far below them.
const (
	maxDepth = 32      // nesting of calls in one expression
	maxText  = 4096    // octets of one expression
	maxNames = 256     // definitions
	maxValue = 1 << 17 // octets of one value
)

// Error is a fault in the text of a definition.
type Error struct {
	Name   string // the definition
	Offset int    // octets from the start of its text
	Msg    string
}

func (e *Error) Error() string {
	return fmt.Sprintf("%s, at octet %d: %s", e.Name, e.Offset, e.Msg)
}

// roleArg is what stands in the parentheses of a name, a terminal or a range.
type roleArg uint8

const (
	argNone roleArg = iota
	argRole
	argClient
	argServer
	argPHA
)

var roleArgs = map[string]roleArg{"role": argRole, "client": argClient, "server": argServer, "pha": argPHA}

type op uint8

const (
	opName op = iota // of another definition
	opTerminal
	opText
	opHex
	opInteger
	opCall
	opRange
)

// node is one expression of the syntax tree; at and end delimit its text.
type node struct {
	op        op
	at, end   int
	name      string
	role      roleArg
	octets    []byte // opText, opHex
	number    int    // opInteger
	exclusive bool   // opRange
	terminal  *terminal
	function  *function
	args      []*node
	keys      []*node // of cbor_map, one for each argument
}

type parser struct {
	name string
	text string
	pos  int
}

// parse reads one expression.
func parse(name, text string) (n *node, err *Error) {
	p := &parser{name: name, text: text}
	if len(text) > maxText {
		return nil, p.fail(maxText, "the expression is longer than %d octets", maxText)
	}
	if n, err = p.expr(0); err != nil {
		return nil, err
	}
	p.space()
	if p.pos < len(text) {
		return nil, p.fail(p.pos, "%q is left over after a complete expression", rest(text[p.pos:]))
	}
	return n, nil
}

// nearest is "; did you mean X?" with the known word that is nearest, or "".
func nearest(word string, known []string) string {
	if s := schema.Nearest(word, known); s != "" {
		return "; did you mean " + s + "?"
	}
	return ""
}

func rest(s string) string {
	if len(s) > 12 {
		return s[:12] + "…"
	}
	return s
}

func (p *parser) fail(at int, format string, args ...any) *Error {
	return &Error{Name: p.name, Offset: at, Msg: fmt.Sprintf(format, args...)}
}

func (p *parser) space() {
	for p.pos < len(p.text) && strings.IndexByte(" \t\r\n", p.text[p.pos]) >= 0 {
		p.pos++
	}
}

// take consumes s if it stands next.
func (p *parser) take(s string) bool {
	p.space()
	if !strings.HasPrefix(p.text[p.pos:], s) {
		return false
	}
	p.pos += len(s)
	return true
}

func letter(c byte) bool { return c == '_' || c|0x20 >= 'a' && c|0x20 <= 'z' }
func digit(c byte) bool  { return c >= '0' && c <= '9' }

// word reads an identifier; a dot joins two words when a letter follows it.
func (p *parser) word() string {
	start := p.pos
	for p.pos < len(p.text) {
		c := p.text[p.pos]
		if !letter(c) && !(digit(c) && p.pos > start) &&
			!(c == '.' && p.pos > start && p.pos+1 < len(p.text) && letter(p.text[p.pos+1])) {
			break
		}
		p.pos++
	}
	return p.text[start:p.pos]
}

func (p *parser) expr(depth int) (*node, *Error) {
	p.space()
	start := p.pos
	if depth > maxDepth {
		return nil, p.fail(start, "calls are nested more than %d deep", maxDepth)
	}
	if start == len(p.text) {
		return nil, p.fail(start, "an expression is missing")
	}
	var n *node
	var err *Error
	switch c := p.text[start]; {
	case c == '"':
		n, err = p.literal()
	case digit(c):
		n, err = p.number()
	case letter(c):
		n, err = p.named(depth)
	default:
		return nil, p.fail(start, "unexpected %q", rest(p.text[start:]))
	}
	if err != nil {
		return nil, err
	}
	n.at, n.end = start, p.pos
	return n, nil
}

func (p *parser) literal() (*node, *Error) {
	n := strings.IndexByte(p.text[p.pos+1:], '"')
	if n < 0 {
		return nil, p.fail(p.pos, "the text has no closing quotation mark")
	}
	s := p.text[p.pos+1 : p.pos+1+n]
	p.pos += n + 2
	return &node{op: opText, octets: []byte(s)}, nil
}

func (p *parser) number() (*node, *Error) {
	start := p.pos
	for p.pos < len(p.text) && (digit(p.text[p.pos]) || letter(p.text[p.pos])) {
		p.pos++
	}
	word := p.text[start:p.pos]
	if h, ok := strings.CutPrefix(word, "0x"); ok {
		b, err := hex.DecodeString(h)
		if err != nil || len(b) == 0 {
			return nil, p.fail(start, "%s is not a whole number of hexadecimal octets", word)
		}
		return &node{op: opHex, octets: b}, nil
	}
	v, err := strconv.ParseUint(word, 10, 31)
	if err != nil {
		return nil, p.fail(start, "%s is not an integer", word)
	}
	return &node{op: opInteger, number: int(v)}, nil
}

// named reads what begins with a word: a range, a call, a terminal or a name.
func (p *parser) named(depth int) (*node, *Error) {
	start := p.pos
	word := p.word()
	if p.take("..") {
		return p.rangeFrom(word, start)
	}
	if f, ok := functions[word]; ok {
		n := &node{op: opCall, name: word, function: f}
		return n, p.arguments(n, depth)
	}
	n := &node{op: opName, name: word}
	if t, ok := terminals[word]; ok {
		n.op, n.terminal = opTerminal, t
	}
	if err := p.role(n); err != nil {
		return nil, err
	}
	switch {
	case n.role == argPHA:
		return nil, p.fail(start, "(pha) belongs to CR, CT, CV and AT at the end of a range")
	case n.op == opTerminal && n.terminal.takesRole && n.role == argNone:
		return nil, p.fail(start, "%s needs (role), (client) or (server)", word)
	case n.op == opTerminal && !n.terminal.takesRole && n.role != argNone:
		return nil, p.fail(start, "%s takes no role", word)
	}
	return n, nil
}

// role reads an optional role in parentheses.
func (p *parser) role(n *node) *Error {
	if !p.take("(") {
		return nil
	}
	p.space()
	at := p.pos
	word := p.word()
	r, ok := roleArgs[word]
	if !ok && n.op == opName {
		return p.fail(at, "%s is not a function; a definition takes (role), (client) or (server)%s", n.name,
			nearest(n.name, names(functions)))
	}
	if !ok {
		return p.fail(at, "%q is where (role), (client) or (server) belongs", word)
	}
	if !p.take(")") {
		return p.fail(p.pos, "a closing parenthesis is missing")
	}
	n.role = r
	return nil
}

// rangeEnd is a message in which a range ends: the point of each end that sends
// it, and of post-handshake authentication.
type rangeEnd struct {
	by    [2]Point // by attls.Role; both the same where only one end sends it
	later Point    // PointNone: it takes no (pha)
	text  string
}

// takesRole reports whether both ends send the message.
func (e *rangeEnd) takesRole() bool { return e.by[0] != e.by[1] }

// rangeEnds is the grammar of the end of a range; the parser and Words read it.
var rangeEnds = map[string]*rangeEnd{
	"CH": {by: [2]Point{PointCH, PointCH}, text: "ClientHello"},
	"SH": {by: [2]Point{PointSH, PointSH}, text: "ServerHello"},
	"EE": {by: [2]Point{PointEE, PointEE}, text: "EncryptedExtensions"},
	"CR": {by: [2]Point{PointCR, PointCR}, later: PointPostHandshakeCR,
		text: "CertificateRequest; without one, CH..CR ends with EncryptedExtensions"},
	"CT":  {by: [2]Point{PointClientCT, PointServerCT}, later: PointPostHandshakeCT, text: "Certificate"},
	"CV":  {by: [2]Point{PointClientCV, PointServerCV}, later: PointPostHandshakeCV, text: "CertificateVerify"},
	"AT":  {by: [2]Point{PointClientAT, PointServerAT}, later: PointPostHandshakeAT, text: addedText},
	"Fin": {by: [2]Point{PointClientFin, PointServerFin}, text: "Finished"},
}

const addedText = "the message that the profile adds, wherever it is: of several the first with a payload"

// usage is how a range ends in the message.
func (e *rangeEnd) usage(name string) string {
	var list []string
	if e.takesRole() {
		name += "(role|client|server"
		if e.later != PointNone {
			name += "|pha"
		}
		return name + ")"
	}
	list = append(list, name)
	if e.later != PointNone {
		list = append(list, name+"(pha)")
	}
	return strings.Join(list, ", ")
}

// endNames are the messages in which a range may end, in the order of a handshake.
func endNames() []string {
	list := names(rangeEnds)
	slices.SortStableFunc(list, func(a, b string) int { return int(rangeEnds[a].by[1]) - int(rangeEnds[b].by[1]) })
	return list
}

func (p *parser) rangeFrom(word string, start int) (*node, *Error) {
	if word != "CH" {
		return nil, p.fail(start, "a range begins with CH, not with %q", word)
	}
	n := &node{op: opRange, exclusive: p.take("<")}
	p.space()
	at := p.pos
	n.name = p.word()
	end, ok := rangeEnds[n.name]
	if !ok {
		ends := endNames()
		last := len(ends) - 1
		return nil, p.fail(at, "a range ends in %s or %s, not in %q", strings.Join(ends[:last], ", "), ends[last], n.name)
	}
	if err := p.role(n); err != nil {
		return nil, err
	}
	switch {
	case n.role == argPHA && end.later == PointNone:
		return nil, p.fail(
			at,
			"no %s of post-handshake authentication can be named; (pha) belongs to CR, CT, CV and AT",
			n.name,
		)
	case end.takesRole() && n.role == argNone:
		return nil, p.fail(at, "both ends send %s: say %[1]s(role), %[1]s(client) or %[1]s(server)", n.name)
	case !end.takesRole() && n.role != argNone && n.role != argPHA:
		return nil, p.fail(at, "only one end sends %s: it takes no role", n.name)
	case n.exclusive && n.name == "CH":
		return nil, p.fail(at, "CH..<CH is empty")
	}
	return n, nil
}

func (p *parser) arguments(n *node, depth int) *Error {
	if !p.take("(") {
		return p.fail(p.pos, "%s is a function: its arguments are missing", n.name)
	}
	for first := true; ; first = false {
		if first && p.take(")") {
			break
		}
		if n.function.keyed {
			key, err := p.expr(depth + 1)
			if err != nil {
				return err
			}
			if key.op != opInteger && key.op != opText {
				return p.fail(key.at, "a key of %s is an integer or a text", n.name)
			}
			if !p.take(":") {
				return p.fail(p.pos, "a colon is missing between key and value")
			}
			n.keys = append(n.keys, key)
		}
		arg, err := p.expr(depth + 1)
		if err != nil {
			return err
		}
		n.args = append(n.args, arg)
		if p.take(")") {
			break
		}
		if !p.take(",") {
			return p.fail(p.pos, "a comma or a closing parenthesis is missing in the arguments of %s", n.name)
		}
	}
	if want := len(n.function.params); !n.function.variadic && len(n.args) != want {
		return p.fail(p.pos-1, "%s takes %d arguments (%s), not %d", n.name, want, n.function.usage(n.name), len(n.args))
	}
	if n.function.variadic && len(n.args) == 0 {
		return p.fail(p.pos-1, "%s needs at least one argument", n.name)
	}
	return nil
}
