package requirements

import (
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
)

const architecture = root + "/docs/architecture.md"

// tableRows are the rows of a Markdown table under the header that begins so.
func tableRows(t *testing.T, page, header string) (rows [][]string) {
	t.Helper()
	_, rest, ok := strings.Cut(page, header)
	if !ok {
		t.Fatalf("no table %q", header)
	}
	for i, line := range strings.Split(rest, "\n") {
		if i < 2 {
			continue // the rest of the header and the line below
		}
		if !strings.HasPrefix(line, "|") {
			return rows
		}
		rows = append(rows, strings.Split(strings.Trim(line, "| "), " | "))
	}
	return rows
}

var code = regexp.MustCompile("`([^`]+)`")

// quotedIn are the words in backquotes.
func quotedIn(text string) (list []string) {
	for _, m := range code.FindAllStringSubmatch(text, -1) {
		list = append(list, m[1])
	}
	return list
}

func readPage(t *testing.T, name string) string {
	t.Helper()
	b, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// definedInC finds the functions that a C file defines: a line that begins with a type,
// holds a name and a parenthesis, and does not end as a declaration does.
var definedInC = regexp.MustCompile(`(?m)^[a-z][\w \t*]*?[ \t*](\w+)\([^;]*$`)

// declared are the identifiers that a file declares: in Go all of them, methods as
// Type.Method; in C the functions.
func declared(t *testing.T, name string) map[string]bool {
	t.Helper()
	if strings.HasSuffix(name, ".c") {
		found := map[string]bool{}
		for _, m := range definedInC.FindAllStringSubmatch(readPage(t, name), -1) {
			found[m[1]] = true
		}
		return found
	}
	f, err := parser.ParseFile(token.NewFileSet(), name, nil, parser.SkipObjectResolution)
	if err != nil {
		t.Error(err)
		return nil
	}
	found := map[string]bool{}
	for _, d := range f.Decls {
		switch d := d.(type) {
		case *ast.FuncDecl:
			found[receiver(d)+d.Name.Name] = true
		case *ast.GenDecl:
			for _, s := range d.Specs {
				switch s := s.(type) {
				case *ast.TypeSpec:
					found[s.Name.Name] = true
				case *ast.ValueSpec:
					for _, n := range s.Names {
						found[n.Name] = true
					}
				}
			}
		}
	}
	return found
}

// receiver is the type of a method and a dot; "" for a function.
func receiver(d *ast.FuncDecl) string {
	if d.Recv == nil {
		return ""
	}
	x := d.Recv.List[0].Type
	if star, ok := x.(*ast.StarExpr); ok {
		x = star.X
	}
	if of, ok := x.(*ast.IndexExpr); ok {
		x = of.X
	}
	return x.(*ast.Ident).Name + "."
}

func TestEachPlaceInTheIndexExists(t *testing.T) {
	rows := tableRows(t, readPage(t, architecture), "| task | file | identifiers |")
	if len(rows) < 50 {
		t.Fatalf("only %d rows", len(rows))
	}
	for _, row := range rows {
		if len(row) != 3 {
			t.Errorf("%q has %d columns", row, len(row))
			continue
		}
		for _, name := range quotedIn(row[1]) {
			found := declared(t, filepath.Join(root, name))
			for _, id := range quotedIn(row[2]) {
				if !found[id] {
					t.Errorf("%s: %s has no %s", row[0], name, id)
				}
			}
		}
	}
}

// imports are the rooms of this module that the files of a directory import,
// whatever system they are built for; tests may import anything.
func imports(t *testing.T, dir string) map[string]string {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(root, dir, "*.go"))
	if err != nil {
		t.Fatal(err)
	}
	found := map[string]string{}
	for _, name := range files {
		if strings.HasSuffix(name, "_test.go") {
			continue
		}
		f, err := parser.ParseFile(token.NewFileSet(), name, nil, parser.ImportsOnly)
		if err != nil {
			t.Fatal(err)
		}
		for _, x := range f.Imports {
			p, err := strconv.Unquote(x.Path.Value)
			if err != nil {
				t.Fatal(err)
			}
			if p == "attls" {
				found["."] = name
			} else if room, ok := strings.CutPrefix(p, "attls/"); ok {
				found[room] = name
			}
		}
	}
	return found
}

func TestNoImportPointsUpward(t *testing.T) {
	floor := map[string]int{}
	for i, row := range tableRows(t, readPage(t, architecture), "| row | rooms |") {
		for _, room := range quotedIn(row[1]) {
			floor[room] = i + 1
		}
	}
	rooms := map[string]bool{}
	for name := range texts(t) {
		if strings.HasSuffix(name, ".go") && !strings.HasSuffix(name, "_test.go") {
			room, err := filepath.Rel(root, path.Dir(name))
			if err != nil {
				t.Fatal(err)
			}
			rooms[filepath.ToSlash(room)] = true
		}
	}
	for room := range rooms { // a leaf of internal needs no row
		below := imports(t, room)
		delete(below, ".")
		if floor[room] == 0 && strings.HasPrefix(room, "internal/") && len(below) == 0 {
			floor[room] = 2
		}
	}
	for room := range rooms {
		if floor[room] == 0 {
			t.Errorf("%s has no row in docs/architecture.md", room)
			continue
		}
		for other, name := range imports(t, room) {
			if floor[other] >= floor[room] {
				t.Errorf("%s: %s (row %d) may not import %s (row %d)", name, room, floor[room], other, floor[other])
			}
		}
	}
	for room := range floor {
		if !rooms[room] {
			t.Errorf("docs/architecture.md names the room %s, which has no Go files", room)
		}
	}
}

func TestTheFolderConformanceHasNoCodeOfItsOwn(t *testing.T) {
	files, err := filepath.Glob(filepath.Join(root, "conformance", "*.go"))
	if err != nil || len(files) != 1 {
		t.Fatalf("%v, %v instead of one file", files, err)
	}
	if found := declared(t, files[0]); len(found) > 0 {
		t.Errorf("%s declares %v", files[0], found)
	}
}
