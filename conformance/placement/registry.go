package placement

import (
	"bytes"
	_ "embed"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"sync"

	"attls"
)

// Entry is a code point of the registry.
type Entry struct {
	Type attls.ExtensionType
	Name string
	// Messages are those of the column "TLS 1.3".
	Messages []attls.MessageKind
	// Assigned says that the number belongs to an extension; without it, it is reserved
	// (RFC 8701), for private use, or free.
	Assigned bool
	// Legacy says that the extension is not used in TLS 1.3 ("-"). A ClientHello may have it
	// for the sake of an older version.
	Legacy      bool
	DTLSOnly    bool
	Recommended string // Y, N or D; empty where nothing is assigned

	unassigned bool
}

// In reports whether the extension may be in a message of TLS 1.3.
func (e *Entry) In(k attls.MessageKind) bool { return slices.Contains(e.Messages, k) }

// Registry is IANA's registry "TLS ExtensionType Values".
type Registry struct {
	Date    string // of the copy
	Entries []Entry
}

//go:embed registry.csv
var registryCSV []byte

var builtIn = sync.OnceValue(func() *Registry {
	r, err := ReadRegistry("registry.csv", bytes.NewReader(registryCSV))
	if err != nil {
		panic(err) // it is compiled in, and a test reads it
	}
	return r
})

// IANA returns the copy of the registry that is compiled in.
func IANA() *Registry { return builtIn() }

// maxRegistry bounds a file of the registry, in octets, and maxEntries its rows.
const (
	maxRegistry = 1 << 20
	maxEntries  = 1000
)

// messageNames are the abbreviations of the column "TLS 1.3" (RFC 8446 section 4.2).
var messageNames = map[string]attls.MessageKind{
	"CH": attls.KindClientHello, "SH": attls.KindServerHello, "HRR": attls.KindHelloRetryRequest,
	"EE": attls.KindEncryptedExtensions, "CR": attls.KindCertificateRequest, "CT": attls.KindCertificate,
	"NST": attls.KindNewSessionTicket,
}

// columns of the file that are read.
const (
	columnValue       = "Value"
	columnName        = "Extension Name"
	columnMessages    = "TLS 1.3"
	columnDTLS        = "DTLS-Only"
	columnRecommended = "Recommended"
)

// ReadRegistry reads a registry in the form of IANA's tls-extensiontype-values-1.csv. Its
// date is in a comment "# Date: …". Of a range, the first number is read. Errors
// name the file, the line and the column.
func ReadRegistry(file string, r io.Reader) (*Registry, error) {
	blob, err := io.ReadAll(io.LimitReader(r, maxRegistry+1))
	if err != nil {
		return nil, fmt.Errorf("%s: %w", file, err)
	}
	if len(blob) > maxRegistry {
		return nil, fmt.Errorf("%s: more than %d octets", file, maxRegistry)
	}
	out := &Registry{Date: "unknown"}
	for line := range strings.Lines(string(blob)) {
		if date, ok := strings.CutPrefix(line, "# Date: "); ok {
			out.Date = attls.Printable(strings.TrimSpace(date))
			break
		}
	}
	c := csv.NewReader(bytes.NewReader(blob))
	c.Comment, c.FieldsPerRecord = '#', -1
	header, err := c.Read()
	if err != nil {
		return nil, fmt.Errorf("%s: %w", file, csvError(err))
	}
	at := map[string]int{}
	for i, name := range header {
		at[strings.TrimSpace(name)] = i
	}
	for _, name := range []string{columnValue, columnName, columnMessages} {
		if _, ok := at[name]; !ok {
			line, column := c.FieldPos(0)
			return nil, fmt.Errorf("%s:%d:%d: no column is called %q", file, line, column, name)
		}
	}
	seen := map[attls.ExtensionType]bool{}
	for {
		row, err := c.Read()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return nil, fmt.Errorf("%s: %w", file, csvError(err))
		}
		e, column, err := readEntry(row, at)
		if err == nil && seen[e.Type] {
			column, err = at[columnValue], fmt.Errorf("%d appears twice", uint16(e.Type))
		}
		if err == nil && len(out.Entries) == maxEntries {
			err = fmt.Errorf("more than %d rows", maxEntries)
		}
		if err != nil {
			line, position := c.FieldPos(min(column, len(row)-1))
			return nil, fmt.Errorf("%s:%d:%d: %w", file, line, position, err)
		}
		seen[e.Type] = true
		out.Entries = append(out.Entries, e)
	}
	if len(out.Entries) == 0 {
		return nil, fmt.Errorf("%s: it has no rows", file)
	}
	return out, nil
}

// csvError is an error of the CSV reader with the place in front.
func csvError(err error) error {
	var p *csv.ParseError
	if errors.As(err, &p) {
		return fmt.Errorf("%d:%d: %w", p.Line, p.Column, p.Err)
	}
	if errors.Is(err, io.EOF) {
		return errors.New("it is empty")
	}
	return err
}

// readEntry reads a row; column is the one that the error is about.
func readEntry(row []string, at map[string]int) (e Entry, column int, err error) {
	cell := func(name string) string {
		if i, ok := at[name]; ok && i < len(row) {
			return strings.TrimSpace(row[i])
		}
		return ""
	}
	value, _, _ := strings.Cut(cell(columnValue), "-")
	n, err := strconv.ParseUint(value, 10, 16)
	if err != nil {
		return e, at[columnValue], fmt.Errorf("%q is not a number of 16 bits, or a range of them", attls.Printable(value))
	}
	e.Type = attls.ExtensionType(n)
	e.Name = attls.Printable(cell(columnName))
	e.Recommended = attls.Printable(cell(columnRecommended))
	e.DTLSOnly = cell(columnDTLS) == "Y"
	lower := strings.ToLower(e.Name)
	e.Assigned = e.Name != "" && !strings.HasPrefix(lower, "reserved") && !strings.HasPrefix(lower, "unassigned")
	if !e.Assigned {
		e.Name, e.unassigned = "", strings.HasPrefix(lower, "unassigned")
		return e, 0, nil
	}
	messages := cell(columnMessages)
	if messages == "-" || messages == "" {
		e.Legacy = true
		return e, 0, nil
	}
	for _, word := range strings.Split(messages, ",") {
		word, _, _ = strings.Cut(strings.TrimSpace(word), " ") // a note may follow
		k, ok := messageNames[word]
		if !ok {
			return e, at[columnMessages], fmt.Errorf("%q is not one of CH, SH, HRR, EE, CT, CR, NST", attls.Printable(word))
		}
		// The registry marks server_name for the requests of exported authenticators alone.
		if e.Type == attls.ExtServerName && k == attls.KindCertificateRequest {
			continue
		}
		e.Messages = append(e.Messages, k)
	}
	return e, 0, nil
}

// Title is the name of the code point, or what it is where it has none.
func (e *Entry) Title() string {
	switch {
	case e.Name != "":
		return e.Name
	case attls.Grease(uint16(e.Type)):
		return fmt.Sprintf("reserved_%04x", uint16(e.Type))
	case e.Type >= firstPrivate:
		return fmt.Sprintf("private_%d", uint16(e.Type))
	case e.free():
		return fmt.Sprintf("unassigned_%d", uint16(e.Type))
	}
	return fmt.Sprintf("reserved_%d", uint16(e.Type))
}

// free reports whether the number is neither assigned nor reserved nor for private use.
func (e *Entry) free() bool { return e.unassigned }

// firstPrivate is the first number for private use (RFC 8447 section 7).
const firstPrivate attls.ExtensionType = 0xff00
