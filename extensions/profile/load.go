package profile

import (
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"sort"
	"strings"

	"attls/extensions/schema"
)

//go:embed profiles/*.yaml
var embedded embed.FS

// Options change a profile for one run; both ends must be given the same. The
// zero value takes the profile as it is written.
type Options struct {
	// Readings choose the reading of a switch, by the switch's name.
	Readings map[string]string
	// CodePoints override numbers, by registry and name:
	// "extensions.remoteAttestation", "alerts.x", "messages.x", "certificate_types.x".
	CodePoints map[string]uint64
}

// maxBases bounds a chain of `base`.
const maxBases = 16

// Names lists the embedded profiles in order.
func Names() []string {
	entries, _ := embedded.ReadDir("profiles")
	var names []string
	for _, e := range entries {
		names = append(names, strings.TrimSuffix(e.Name(), ".yaml"))
	}
	sort.Strings(names)
	return names
}

// Load reads, checks and compiles a profile. name is the identifier of an
// embedded profile, a draft's name with its revision
// (draft-fossati-seat-early-attestation-06), or, when it contains a slash or
// ends in .yaml, .yml or .compiled, a file, which may be a compiled profile. The error
// is a schema.Problems with the position of everything that is wrong.
func Load(name string, o Options) (*Profile, error) {
	file, src, err := source(name)
	if err != nil {
		return nil, schema.Problems{unread(schema.Position{File: file}, name, err)}
	}
	return Parse(file, src, o)
}

// Parse is Load for the text of a profile; file is its name in positions.
func Parse(file string, src []byte, o Options) (*Profile, error) {
	if IsCompiled(src) {
		return decodeCompiled(file, src, o)
	}
	doc, problems := parseChain(file, src, nil)
	if err := problems.Err(); err != nil {
		return nil, err
	}
	return compileDocument(doc, o)
}

// CompiledSuffix ends the name of a file that holds a compiled profile.
const CompiledSuffix = ".compiled"

// IsFile reports whether Load takes a name for that of a file.
func IsFile(name string) bool {
	return strings.ContainsAny(name, `/\`) || strings.HasSuffix(name, ".yaml") || strings.HasSuffix(name, ".yml") ||
		strings.HasSuffix(name, CompiledSuffix)
}

// source finds the text of a profile and a name for it in positions.
func source(name string) (file string, src []byte, err error) {
	if IsFile(name) {
		if info, err := os.Stat(name); err != nil {
			return name, nil, err
		} else if !info.Mode().IsRegular() {
			return name, nil, errors.New("is not a regular file")
		} else if info.Size() > MaxCompiled {
			return name, nil, fmt.Errorf("%d octets; a profile has at most %d, compiled %d", info.Size(), MaxFile,
				MaxCompiled)
		}
		src, err = os.ReadFile(name)
		return name, src, err
	}
	names := Names()
	id := name
	for _, n := range names { // a draft's name is draft-, who wrote it for whom, and the profile's
		if strings.HasPrefix(name, "draft-") && strings.HasSuffix(name, "-"+n) {
			id = n
		}
	}
	id = canonical(id, names)
	if !slices.Contains(names, id) {
		if s := schema.Nearest(name, names); s != "" {
			return name, nil, fmt.Errorf("no profile is named %q; did you mean %s?", name, s)
		}
		return name, nil, fmt.Errorf("no profile is named %q; there are %s", name, strings.Join(names, ", "))
	}
	file = "profiles/" + id + ".yaml"
	src, err = fs.ReadFile(embedded, file)
	return file, src, err
}

// unread is the problem of a text that source did not find.
func unread(at schema.Position, name string, err error) *schema.Problem {
	var path *fs.PathError
	switch {
	case !IsFile(name):
		return problem(at, ProblemFile, "%v", err)
	case at.File == name && errors.As(err, &path):
		err = path.Err
	case path == nil && at.File != name:
		err = fmt.Errorf("%s: %w", name, err)
	}
	return problem(at, ProblemUnread, "%v", err)
}

func readChain(name string) (*value, schema.Problems) {
	file, src, err := source(name)
	if err != nil {
		return nil, schema.Problems{unread(schema.Position{File: file}, name, err)}
	}
	return parseChain(file, src, nil)
}

// parseChain reads a document and lays it over its bases. below are the files
// that stand on it.
func parseChain(file string, src []byte, below []string) (*value, schema.Problems) {
	doc, problems := readDocument(file, src)
	if problems.Err() != nil {
		return nil, problems
	}
	if e := doc.entry("types"); e != nil && e.value.form == formScalar {
		e.value = &value{form: formTypes, pos: e.value.pos, items: []*value{e.value}}
	}
	root.respell(doc)
	base := doc.get("base")
	if base == nil {
		return doc, problems
	}
	if base.form != formScalar {
		return nil, append(problems, problem(base.pos, ProblemValue, "base is the name of a profile or a file"))
	}
	name := base.text
	if IsFile(name) && !filepath.IsAbs(name) {
		name = filepath.Join(filepath.Dir(file), name)
		if !IsFile(name) {
			name = "./" + name
		}
	}
	from, text, err := source(name)
	below = append(below, file)
	switch {
	case err != nil:
		return nil, append(problems, unread(base.pos, name, err))
	case slices.Contains(below, from):
		return nil, append(problems, problem(base.pos, ProblemFile, "%s is its own base", from))
	case len(below) > maxBases:
		return nil, append(problems, problem(base.pos, ProblemFile, "a chain of more than %d bases", maxBases))
	}
	under, p := parseChain(from, text, below)
	if problems = append(problems, p...); problems.Err() != nil {
		return nil, problems
	}
	merged, p := merge(under, doc)
	merged.dropDead()
	return merged, append(problems, p...)
}
