package schema

import (
	"fmt"
	"unicode/utf8"
)

type tokenKind uint8

const (
	tokenEnd tokenKind = iota
	tokenName
	tokenNumber
	tokenMark // punctuation; ".." is one
)

type token struct {
	kind tokenKind
	text string
	pos  Position
}

// String is how error messages call the token.
func (t token) String() string {
	if t.kind == tokenEnd {
		return "the end of the text"
	}
	return fmt.Sprintf("%q", t.text)
}

// lexer splits a text into tokens and drops spaces and comments.
type lexer struct {
	src    []byte
	at     int
	pos    Position
	indent int // column of the first character of every line
}

func (l *lexer) advance(n int) {
	for end := l.at + n; l.at < end; {
		r, size := utf8.DecodeRune(l.src[l.at:])
		l.at += size
		if r == '\n' {
			l.pos.Line++
			l.pos.Column = l.indent
		} else {
			l.pos.Column++
		}
	}
}

// skip passes over spaces and comments.
func (l *lexer) skip() *Problem {
	for l.at < len(l.src) {
		switch c := l.src[l.at]; {
		case c == ' ' || c == '\t' || c == '\n' || c == '\r' || c == '\f':
			l.advance(1)
		case c == '/' && l.at+1 < len(l.src) && l.src[l.at+1] == '*':
			start := l.pos
			end := indexFrom(l.src, l.at+2, "*/")
			if end < 0 {
				l.advance(len(l.src) - l.at)
				return problem(start, ProblemSyntax, "a comment without an end").advise("close it with */")
			}
			l.advance(end + 2 - l.at)
		default:
			return nil
		}
	}
	return nil
}

func indexFrom(b []byte, from int, s string) int {
	for i := from; i+len(s) <= len(b); i++ {
		if string(b[i:i+len(s)]) == s {
			return i
		}
	}
	return -1
}

func (l *lexer) next() (token, *Problem) {
	if p := l.skip(); p != nil {
		return token{pos: l.pos}, p
	}
	t := token{pos: l.pos}
	if l.at == len(l.src) {
		return t, nil
	}
	rest := l.src[l.at:]
	n := 1
	switch c := rest[0]; {
	case letter(c):
		t.kind = tokenName
		n = span(rest, func(c byte) bool { return letter(c) || digit(c) })
	case digit(c):
		t.kind = tokenNumber
		n = span(rest, func(c byte) bool { return letter(c) || digit(c) })
	case c == '.' && len(rest) > 1 && rest[1] == '.':
		t.kind, n = tokenMark, 2
	case indexFrom([]byte("{}[]()<>;:,=.+-*^"), 0, string(c)) >= 0:
		t.kind = tokenMark
	default:
		r, size := utf8.DecodeRune(rest)
		p := problem(l.pos, ProblemSyntax, "the character %q has no meaning here", r)
		if c == '/' {
			p.advise("comments are between /* and */")
		}
		l.advance(size)
		return token{kind: tokenMark, pos: t.pos}, p
	}
	t.text = string(rest[:n])
	l.advance(n)
	return t, nil
}

func letter(c byte) bool { return c|0x20 >= 'a' && c|0x20 <= 'z' || c == '_' }
func digit(c byte) bool  { return c >= '0' && c <= '9' }

func span(b []byte, in func(byte) bool) int {
	n := 0
	for n < len(b) && in(b[n]) {
		n++
	}
	return n
}
