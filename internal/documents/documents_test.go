package documents

import (
	"bytes"
	"flag"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "write the examples into docs/library.md")

const root = "../../"

var example = regexp.MustCompile("(?s)<!-- example: (\\S+) (\\w+) -->\n```go\n(.*?)```\n")

// TestLibraryShowsWhatTestsRun compares each block of docs/library.md with the
// function or type of a test file that its comment names. With -update it is written
// instead.
func TestLibraryShowsWhatTestsRun(t *testing.T) {
	file := root + "docs/library.md"
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	shown := 0
	now := example.ReplaceAllFunc(text, func(block []byte) []byte {
		m := example.FindSubmatch(block)
		code, err := declaration(string(m[1]), string(m[2]))
		if err != nil {
			t.Error(err)
			return block
		}
		shown++
		if string(m[3]) != code && !*update {
			t.Errorf("the block of %s %s differs from the test file; run go test ./internal/documents -update", m[1], m[2])
		}
		return fmt.Appendf(nil, "<!-- example: %s %s -->\n```go\n%s```\n", m[1], m[2], code)
	})
	if blocks := bytes.Count(text, []byte("```go")); shown != blocks || shown < 10 {
		t.Errorf("%d of %d blocks of code are examples", shown, blocks)
	}
	if *update {
		if err := os.WriteFile(file, now, 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

// declaration is the code of a test file: the body of an example, and otherwise a
// function, or a type with its methods.
func declaration(dir, name string) (string, error) {
	files, err := filepath.Glob(root + dir + "/*_test.go")
	if err != nil {
		return "", err
	}
	for _, f := range files {
		src, err := os.ReadFile(f)
		if err != nil {
			return "", err
		}
		fset := token.NewFileSet()
		parsed, err := parser.ParseFile(fset, f, src, parser.ParseComments)
		if err != nil {
			return "", err
		}
		at := func(p token.Pos) int { return fset.Position(p).Offset }
		var parts []string
		for _, d := range parsed.Decls {
			switch d := d.(type) {
			case *ast.FuncDecl:
				if d.Name.Name == name && d.Recv == nil && strings.HasPrefix(name, "Example") {
					body := strings.Trim(string(src[at(d.Body.Lbrace)+1:at(d.Body.Rbrace)]), "\n")
					return strings.ReplaceAll("\n"+body, "\n\t", "\n")[1:] + "\n", nil
				}
				if d.Name.Name == name && d.Recv == nil || d.Recv != nil && receiver(d) == name {
					parts = append(parts, string(src[start(d.Doc, d, at):at(d.End())]))
				}
			case *ast.GenDecl:
				if s, ok := d.Specs[0].(*ast.TypeSpec); ok && s.Name.Name == name {
					parts = append(parts, string(src[start(d.Doc, d, at):at(d.End())]))
				}
			}
		}
		if parts != nil {
			return strings.Join(parts, "\n\n") + "\n", nil
		}
	}
	return "", fmt.Errorf("no test file of %s has %s", dir, name)
}

func start(doc *ast.CommentGroup, d ast.Node, at func(token.Pos) int) int {
	if doc != nil {
		return at(doc.Pos())
	}
	return at(d.Pos())
}

func receiver(f *ast.FuncDecl) string {
	e := f.Recv.List[0].Type
	if p, ok := e.(*ast.StarExpr); ok {
		e = p.X
	}
	if n, ok := e.(*ast.Ident); ok {
		return n.Name
	}
	return ""
}

// TestREADMEFitsOnOneScreen and has what a visitor looks for first.
func TestREADMEFitsOnOneScreen(t *testing.T) {
	text, err := os.ReadFile(root + "README.md")
	if err != nil {
		t.Fatal(err)
	}
	if n := bytes.Count(text, []byte("\n")); n > 60 {
		t.Errorf("README.md has %d lines, more than 60", n)
	}
	if rows := regexp.MustCompile(`(?m)^\|.*\|$`).FindAll(text, -1); len(rows) > 12 { // with the two of the head
		t.Errorf("README.md has a table of %d lines", len(rows))
	}
	if !bytes.Contains(text, []byte("![")) {
		t.Error("README.md has no picture")
	}
}

var (
	link    = regexp.MustCompile(`\]\(([^)\s]+)\)`)
	heading = regexp.MustCompile(`(?m)^#+ (.*)$`)
	fenced  = regexp.MustCompile("(?ms)^```.*?^```$|`[^`\n]*`")
)

// TestNoLinkIsDead follows every relative link of every document, to its heading too.
func TestNoLinkIsDead(t *testing.T) {
	checked := 0
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() && (d.Name() == ".git" || d.Name() == "testdata") {
			return fs.SkipDir
		}
		if filepath.Ext(path) != ".md" {
			return nil
		}
		text, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		for _, target := range links(string(text)) {
			checked++
			if err := follow(path, target); err != nil {
				t.Errorf("%s: %v", strings.TrimPrefix(filepath.ToSlash(path), root), err)
			}
		}
		return nil
	})
	if err != nil || checked < 60 {
		t.Errorf("%d links, %v", checked, err)
	}
}

// links are the targets of the links of a document that lead into the repository.
func links(text string) (targets []string) {
	for _, m := range link.FindAllStringSubmatch(fenced.ReplaceAllString(text, ""), -1) {
		if !strings.Contains(m[1], "://") && !strings.HasPrefix(m[1], "mailto:") {
			targets = append(targets, m[1])
		}
	}
	return targets
}

func follow(from, target string) error {
	file, anchor, _ := strings.Cut(target, "#")
	to := from
	if file != "" {
		to = filepath.Join(filepath.Dir(from), file)
	}
	info, err := os.Stat(to)
	if err != nil {
		return fmt.Errorf("the link %s is dead: %w", target, err)
	}
	if anchor == "" || info.IsDir() || filepath.Ext(to) != ".md" {
		return nil
	}
	text, err := os.ReadFile(to)
	if err != nil {
		return err
	}
	if !anchors(string(text))[anchor] {
		return fmt.Errorf("the link %s is dead: no heading has that anchor", target)
	}
	return nil
}

// anchors are what links may have after # in a document: its headings as GitHub
// writes them, and the ids of its elements.
func anchors(text string) map[string]bool {
	all := map[string]bool{}
	for _, m := range heading.FindAllStringSubmatch(text, -1) {
		all[slug(m[1])] = true
	}
	for _, m := range regexp.MustCompile(`<a (?:id|name)="([^"]+)"`).FindAllStringSubmatch(text, -1) {
		all[m[1]] = true
	}
	return all
}

var punctuation = regexp.MustCompile(`[^\p{L}\p{N}_ -]`)

func slug(title string) string {
	return strings.ReplaceAll(punctuation.ReplaceAllString(strings.ToLower(strings.TrimSpace(title)), ""), " ", "-")
}

func TestDeadLinksAreFound(t *testing.T) {
	for _, w := range []struct {
		text string
		dead bool
	}{
		{"[a](README.md)", false}, {"[a](README.rm)", true}, {"[a](docs/library.md#import-it)", false}, {"[a](docs/library.md#import-them)", true},
		{"[a](https://nowhere.example/)", false}, {"`[a](nowhere)`", false}, {"[a](docs)", false}, {"![a](docs/none.svg)", true},
	} {
		dead := false
		for _, target := range links(w.text) {
			dead = dead || follow(root+"README.md", target) != nil
		}
		if dead != w.dead {
			t.Errorf("%s: dead %v, want %v", w.text, dead, w.dead)
		}
	}
}

func TestSlug(t *testing.T) {
	for title, want := range map[string]string{"Without I/O": "without-io", "What ConnectionState says": "what-connectionstate-says", "`a_b`, c": "a_b-c"} {
		if got := slug(title); got != want {
			t.Errorf("%q: %q, want %q", title, got, want)
		}
	}
}
