package main

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// invocation is this command as its user called it, for a shell in any directory.
func invocation() string {
	executable, err := os.Executable()
	if err != nil {
		executable = os.Args[0]
	}
	directory, _ := os.Getwd()
	return invocationOf(os.Args[0], executable, moduleRoot(directory))
}

// invocationOf is invocation for a command line's first word, the executable, and the
// directory of the module, if one is around.
func invocationOf(word, executable, module string) string {
	switch {
	case strings.Contains(executable, "go-build") && module != "": // go run
		return "go run -C " + shellWord(module) + " ./cmd/attls"
	case !strings.ContainsRune(word, filepath.Separator): // found in the PATH
		return shellWord(word)
	}
	return shellWord(executable)
}

// moduleRoot is the nearest directory upward that holds this module; empty if there
// is none.
func moduleRoot(directory string) string {
	for directory != "" {
		text, err := os.ReadFile(filepath.Join(directory, "go.mod"))
		if err == nil && strings.HasPrefix(string(text), "module attls\n") {
			return directory
		}
		parent := filepath.Dir(directory)
		if parent == directory {
			break
		}
		directory = parent
	}
	return ""
}

// changed are the flags that were given, with their values.
func changed(flags *pflag.FlagSet) map[string]string {
	m := map[string]string{}
	flags.VisitAll(func(f *pflag.Flag) {
		if f.Changed && f.Value.String() != f.DefValue {
			m[f.Name] = flagValue(f)
		}
	})
	return m
}

func flagValue(f *pflag.Flag) string {
	if list, ok := f.Value.(pflag.SliceValue); ok {
		return strings.Join(list.GetSlice(), ",")
	}
	return f.Value.String()
}

// commandLine is a command with the flags that were given, as a shell reads it.
func commandLine(c *cobra.Command) string {
	words := strings.Fields(c.CommandPath())[1:]
	c.Flags().Visit(func(f *pflag.Flag) {
		words = append(words, "--"+f.Name)
		if f.Value.Type() != "bool" {
			words = append(words, flagValue(f))
		} else if f.Value.String() == "false" {
			words[len(words)-1] += "=false"
		}
	})
	return shellWords(append(words, c.Flags().Args()...))
}

// absolute makes a path one that holds in any directory. A name without a
// directory is looked for in the PATH.
func absolute(path string) string {
	if !strings.ContainsRune(path, filepath.Separator) {
		return path
	}
	if whole, err := filepath.Abs(path); err == nil {
		return whole
	}
	return path
}

// anywhere is the path of a file from any directory.
func anywhere(file string) string {
	if whole, err := filepath.Abs(file); err == nil {
		return whole
	}
	return file
}

// plainWord is what no shell changes.
var plainWord = regexp.MustCompile(`^[A-Za-z0-9_@%+=:,./-]+$`)

// shellWord quotes a word for a POSIX shell, if it needs it.
func shellWord(word string) string {
	if plainWord.MatchString(word) {
		return word
	}
	return "'" + strings.ReplaceAll(word, "'", `'\''`) + "'"
}

func shellWords(words []string) string {
	quoted := make([]string, len(words))
	for i, w := range words {
		quoted[i] = shellWord(w)
	}
	return strings.Join(quoted, " ")
}
