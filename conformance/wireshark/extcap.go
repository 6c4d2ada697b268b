package wireshark

import (
	"fmt"
	"strings"

	"attls"
)

// The protocol by which Wireshark captures from another program, extcap: Wireshark asks
// a program for its interfaces, their link types and options, and starts it with the
// name of a pipe to write to (doc/extcap.md of Wireshark, version 1.0).

// Interface is one that Wireshark lists.
type Interface struct {
	Name    string // as Wireshark passes it back
	Display string // as people read it
	Options []Option
}

// Option is a field of an interface's dialogue, and a flag of the program.
type Option struct {
	Flag    string // without the dashes
	Display string
	Tooltip string
	Kind    OptionKind
	Default string
	Values  []string // of a Selector
	Group   string   // the tab of the dialogue; "": the first
}

// OptionKind is what a field of a dialogue takes.
type OptionKind string

// The kinds, as Wireshark calls them.
const (
	Text     OptionKind = "string"
	Selector OptionKind = "selector"
	Switch   OptionKind = "boolflag"
	Number   OptionKind = "integer"
)

// Interfaces is the answer to --extcap-interfaces.
func Interfaces(version, help string, list []Interface) string {
	var b strings.Builder
	sentence(&b, "extcap", "version", version, "help", help, "display", "attls")
	for _, i := range list {
		sentence(&b, "interface", "value", i.Name, "display", i.Display)
	}
	return b.String()
}

// LinkTypes is the answer to --extcap-dlts: captures of attls have Ethernet frames.
func LinkTypes() string {
	var b strings.Builder
	sentence(&b, "dlt", "number", "1", "name", "EN10MB", "display", "Ethernet")
	return b.String()
}

// Config is the answer to --extcap-config.
func (i *Interface) Config() string {
	var b strings.Builder
	for n, o := range i.Options {
		pairs := []string{"number", fmt.Sprint(n), "call", "--" + o.Flag, "display", o.Display, "type", string(o.Kind)}
		if o.Tooltip != "" {
			pairs = append(pairs, "tooltip", o.Tooltip)
		}
		if o.Default != "" && o.Kind != Selector {
			pairs = append(pairs, "default", o.Default)
		}
		if o.Group != "" {
			pairs = append(pairs, "group", o.Group)
		}
		sentence(&b, "arg", pairs...)
		for _, v := range o.Values {
			display := v
			if v == "" {
				display = "(any)"
			}
			sentence(&b, "value", "arg", fmt.Sprint(n), "value", v, "display", display, "default", fmt.Sprint(v == o.Default))
		}
	}
	return b.String()
}

// sentence writes a line of the protocol, in which braces end a value.
func sentence(b *strings.Builder, word string, pairs ...string) {
	b.WriteString(word + " ")
	for i := 0; i < len(pairs); i += 2 {
		value := strings.Map(func(r rune) rune {
			switch r {
			case '{':
				return '('
			case '}':
				return ')'
			}
			return r
		}, attls.Printable(pairs[i+1]))
		fmt.Fprintf(b, "{%s=%s}", pairs[i], value)
	}
	b.WriteByte('\n')
}
