package words

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// phrase is a turn of phrase to avoid. Its name is its row in CONTRIBUTING.md,
// which says what to write instead.
type phrase struct {
	name string
	find *regexp.Regexp
	// unless exempts a match: idioms that only look like the phrase.
	unless *regexp.Regexp
}

// phrases are compared with the table in CONTRIBUTING.md.
var phrases = []phrase{
	row(`stands`, `\b(stands?|stood)\b`, ``),
	row(`is no X`, `(\S+ )?\b(is|are|was|were|be) no [\w-]+`, `(?i)^(there|here|which there|and there) |no (longer|more|less|fewer|better|worse|later|earlier|greater|larger|smaller)$`),
	row(`wish`, `\bwish(es|ed)?\b`, ``),
	row(`holds X against Y`, `\bh(olds?|eld|olding)\b[^.;:]{1,50} against\b`, ``),
	row(`what became of`, `\bwhat (bec[ao]mes?|may become)\b`, ``),
	row(`lets X pass`, `\blet(s|ting)?\b[^.;:]{0,40} pass\b`, ``),
	row(`has to be so`, `\b(has|have|had) to be so\b|\bas (it|they|each) (must|has to|have to|had to)( be)?\b`, ``),
	row(`at all events`, `\bat all events\b`, ``),
	row(`bears`, `\b(bears?|bore)\b`, ``),
	row(`be it`, `\bbe (it|they)\b`, `(?i)^may be `),
	row(`of one's own`, `\bof one's own\b`, ``),
	row(`nobody's`, `\b(of )?nobody's\b`, ``),
	row(`whoever`, `\bwho(so)?ever\b`, ``),
	row(`some minutes`, `\bsome (seconds|minutes|hours|days)\b`, ``),
	row(`beside`, `\bbeside\b`, ``),
	row(`afresh`, `\b(afresh|anew)\b`, ``),
	row(`the very`, `\bthe very [\w-]+`, ``),
	row(`can be had`, `\b(can|could|may|cannot|to) (not )?be had\b`, ``),
	row(`hence`, `\b(hence|thence|whence|thereof|whereof|therein|wherein|thereby|lest)\b`, ``),
	row(`that is said`, `\band (that|this|it) is said\b`, ``),
	row(`to and fro`, `\bto and fro\b`, ``),
}

func row(name, find, unless string) phrase {
	p := phrase{name: name, find: regexp.MustCompile(`(?i)` + find)}
	if unless != "" {
		p.unless = regexp.MustCompile(unless)
	}
	return p
}

// finding is a phrase in a text.
type finding struct {
	phrase, text string
	line         int // of the text, from 0
}

// check finds the phrases of a text. Line breaks count as spaces.
func check(text string) []finding {
	flat := strings.ReplaceAll(text, "\n", " ")
	var out []finding
	for _, p := range phrases {
		for _, at := range p.find.FindAllStringIndex(flat, -1) {
			match := flat[at[0]:at[1]]
			if p.unless == nil || !p.unless.MatchString(match) {
				out = append(out, finding{p.name, match, strings.Count(text[:at[0]], "\n")})
			}
		}
	}
	return out
}

// marker exempts the line that it is in, for quotations and for examples of what
// to avoid. In Markdown it is a comment.
const marker = "words:quote"

// unquoted blanks the lines that have the marker.
func unquoted(text string) string {
	lines := strings.Split(text, "\n")
	for i, l := range lines {
		if strings.Contains(l, marker) {
			lines[i] = ""
		}
	}
	return strings.Join(lines, "\n")
}

// inText checks a document, without the marked lines.
func inText(text string) []string {
	var out []string
	for _, f := range check(unquoted(text)) {
		out = append(out, fmt.Sprintf("%d: %q (%s)", f.line+1, f.text, f.phrase))
	}
	return out
}

// goSource checks the string literals of a Go file, except import paths and tags of
// fields, and the comments of what it exports.
func goSource(src []byte) ([]string, error) {
	fset := token.NewFileSet()
	file, err := parser.ParseFile(fset, "", src, parser.ParseComments)
	if err != nil {
		return nil, err
	}
	lines := strings.Split(string(src), "\n")
	var out []string
	report := func(pos token.Pos, text string) {
		for _, f := range check(text) {
			n := fset.Position(pos).Line + f.line
			if !strings.Contains(lines[n-1], marker) {
				out = append(out, fmt.Sprintf("%d: %q (%s)", n, f.text, f.phrase))
			}
		}
	}
	comment := func(groups ...*ast.CommentGroup) {
		for _, g := range groups {
			if g == nil {
				continue
			}
			var text []string
			for _, c := range g.List {
				text = append(text, strings.TrimPrefix(c.Text, "//"))
			}
			report(g.Pos(), strings.Join(text, "\n"))
		}
	}
	comment(file.Doc)
	ast.Inspect(file, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.ImportSpec:
			return false
		case *ast.BasicLit:
			if text, err := strconv.Unquote(n.Value); err == nil && n.Kind == token.STRING {
				report(n.Pos(), text)
			}
		case *ast.BinaryExpr: // a text of several literals
			if text, ok := concatenated(n); ok {
				report(n.Pos(), text)
				return false
			}
		case *ast.FuncDecl:
			if n.Name.IsExported() && exportedReceiver(n) {
				comment(n.Doc)
			}
		case *ast.GenDecl:
			if slices.ContainsFunc(n.Specs, exportedSpec) {
				comment(n.Doc)
			}
		case *ast.ValueSpec:
			if exportedSpec(n) {
				comment(n.Doc, n.Comment)
			}
		case *ast.TypeSpec:
			if !n.Name.IsExported() {
				return true
			}
			comment(n.Doc, n.Comment)
			fields(n.Type, comment)
		}
		return true
	})
	slices.Sort(out)
	return slices.Compact(out), nil
}

// fields are the comments of the exported fields and methods of a type.
func fields(t ast.Expr, comment func(...*ast.CommentGroup)) {
	var list *ast.FieldList
	switch t := t.(type) {
	case *ast.StructType:
		list = t.Fields
	case *ast.InterfaceType:
		list = t.Methods
	default:
		return
	}
	for _, f := range list.List {
		if len(f.Names) == 0 || slices.ContainsFunc(f.Names, (*ast.Ident).IsExported) {
			comment(f.Doc, f.Comment)
		}
	}
}

// concatenated is a text that is written as a sum of literals.
func concatenated(e ast.Expr) (string, bool) {
	switch e := e.(type) {
	case *ast.BasicLit:
		text, err := strconv.Unquote(e.Value)
		return text, err == nil && e.Kind == token.STRING
	case *ast.BinaryExpr:
		x, ok1 := concatenated(e.X)
		y, ok2 := concatenated(e.Y)
		return x + y, ok1 && ok2 && e.Op == token.ADD
	}
	return "", false
}

func exportedReceiver(f *ast.FuncDecl) bool {
	if f.Recv == nil {
		return true
	}
	t := f.Recv.List[0].Type
	if p, ok := t.(*ast.StarExpr); ok {
		t = p.X
	}
	if p, ok := t.(*ast.IndexExpr); ok {
		t = p.X
	}
	name, ok := t.(*ast.Ident)
	return !ok || name.IsExported()
}

func exportedSpec(s ast.Spec) bool {
	switch s := s.(type) {
	case *ast.ValueSpec:
		return slices.ContainsFunc(s.Names, (*ast.Ident).IsExported)
	case *ast.TypeSpec:
		return s.Name.IsExported()
	}
	return false
}

// later are rooms whose texts have not been read yet.
var later = map[string]bool{}

// generated documents consist of texts that are checked where they are written.
var generated = map[string]bool{"SPEC.md": true, "docs/profile-reference.md": true, "docs/api.txt": true}

// TestTextsAvoidTheListedPhrases reads everything that a user sees.
func TestTextsAvoidTheListedPhrases(t *testing.T) {
	read := 0
	err := filepath.WalkDir("../..", func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if name := d.Name(); d.IsDir() && (later[strings.TrimPrefix(filepath.ToSlash(path), "../../")] || name == "testdata" || name == ".git" || name == "patches" || name == "dist") {
			return fs.SkipDir
		}
		var found []string
		switch ext := filepath.Ext(path); {
		case d.IsDir() || generated[strings.TrimPrefix(filepath.ToSlash(path), "../../")]:
			return nil
		case ext == ".go" && !strings.HasSuffix(path, "_test.go"):
			src, err := os.ReadFile(path)
			if err != nil {
				return err
			}
			if found, err = goSource(src); err != nil {
				return err
			}
		case ext == ".md" || ext == ".yaml" || ext == ".yml" || ext == ".html" || ext == ".js" || ext == ".svg":
			src, err := os.ReadFile(path)
			if err != nil {
				return err
			}
			found = inText(string(src))
		default:
			return nil
		}
		read++
		for _, f := range found {
			t.Errorf("%s:%s; CONTRIBUTING.md says what to write instead", strings.TrimPrefix(filepath.ToSlash(path), "../../"), f)
		}
		return nil
	})
	if err != nil || read < 150 {
		t.Errorf("%d files, %v", read, err)
	}
}

// TestContributingNamesEachPhrase compares the table of CONTRIBUTING.md with the
// phrases that are looked for.
func TestContributingNamesEachPhrase(t *testing.T) {
	text, err := os.ReadFile("../../CONTRIBUTING.md")
	if err != nil {
		t.Fatal(err)
	}
	_, table, _ := strings.Cut(string(text), "|---|---|\n")
	var rows, names []string
	for _, l := range strings.Split(table, "\n") {
		cells := strings.Split(l, "|")
		if len(cells) < 4 {
			break
		}
		rows = append(rows, strings.TrimSpace(cells[1]))
	}
	for _, p := range phrases {
		names = append(names, p.name)
	}
	if !slices.Equal(rows, names) {
		t.Errorf("CONTRIBUTING.md has %q, the test %q", rows, names)
	}
}

func TestCheckFindsEachPhrase(t *testing.T) {
	for _, w := range []struct{ text, phrase string }{
		{"The extension stands in ServerHello.", "stands"}, {"what it\nstood for", "stands"}, {"She understands it.", ""},
		{"%q is no media type", "is no X"}, {"these are no errors", "is no X"}, {"There is no key.", ""}, {"and there are no\nkeys", ""}, {"it is no longer needed", ""},
		{"a client without wishes", "wish"}, {"holds the key against the certificate", "holds X against Y"}, {"the profile holds. It is against", ""},
		{"what became of it", "what became of"}, {"the engine lets the alert pass", "lets X pass"}, {"ended as it had to", "has to be so"},
		{"at all events", "at all events"}, {"alerts bear names", "bears"}, {"be it a session", "be it"}, {"a tap of one's own", "of one's own"},
		{"octets of nobody's", "nobody's"}, {"Whoever has it", "whoever"}, {"some minutes long", "some minutes"}, {"beside a certificate", "beside"}, {"besides", ""},
		{"to attest afresh", "afresh"}, {"the very suite", "the very"}, {"where it cannot be had", "can be had"}, {"and hence none", "hence"},
		{"and that is said", "that is said"}, {"octets go to and fro", "to and fro"},
	} {
		found := check(w.text)
		if len(found) > 1 || len(found) == 0 != (w.phrase == "") || len(found) == 1 && found[0].phrase != w.phrase {
			t.Errorf("%q: %v, want %q", w.text, found, w.phrase)
		}
	}
}

// TestWhatIsCheckedOfGo: texts and the comments of exported names, with the line.
func TestWhatIsCheckedOfGo(t *testing.T) {
	const src = `// Package p stands here.
package p

import "wish"

// unexported stands here
func unexported() { _ = "a wish" } // stands

// Exported stands here.
type Exported struct {
	Field int // stands here
	field int // stands there
	// Quoted stands. words:quote
	Quoted int
}

const text = "holds the " +
	"key against it"

func (e *unexported2) Method() {} // stands

// Method does
// what became of it.
func (e *Exported) Method() {}
`
	found, err := goSource([]byte(src))
	if err != nil {
		t.Fatal(err)
	}
	var lines []string
	for _, f := range found {
		lines = append(lines, strings.SplitN(f, ":", 2)[0])
	}
	if want := []string{"11", "17", "1", "23", "7", "9"}; !slices.Equal(lines, want) {
		t.Errorf("found %q, want the lines %v", found, want)
	}
}

func TestMarkedLinesOfTextAreExempt(t *testing.T) {
	if found := inText("It stands.\nIt stands. <!-- words:quote -->\nIt is there."); len(found) != 1 {
		t.Errorf("%q", found)
	}
}
