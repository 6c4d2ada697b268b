package peers

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"attls"
	"attls/conformance/capture"
	"attls/conformance/dissect"
	"attls/internal/private"
)

// Recorder records connections by a relay between the two ends, and says of each
// what was sent and which rule was broken.
type Recorder struct {
	// Directory gets a pcapng file for each case, with the secrets in it. Empty:
	// files are not kept.
	Directory string
}

// recording is one case under way; nil records nothing.
type recording struct {
	rec       *Recorder
	result    *Result
	directory string // of the case, where the ends leave their key logs
	file      bytes.Buffer
	writer    *capture.Writer
	relay     *capture.Relay
}

func (r *Recorder) recording(result *Result, directory string) *recording {
	if r == nil {
		return nil
	}
	return &recording{rec: r, result: result, directory: directory}
}

// begin puts a relay before a server and returns the address for the client.
func (r *recording) begin(ctx context.Context, server string) (string, error) {
	if r == nil {
		return server, nil
	}
	var err error
	if r.writer, err = capture.NewWriter(&r.file, nil); err != nil {
		return "", err
	}
	r.writer.Hold = true // the key logs are complete when both ends are done
	if r.relay, err = r.writer.Relay(ctx, server); err != nil {
		return "", err
	}
	return r.relay.Address(), nil
}

// finish ends the relay and reads what it recorded. A recording that fails says
// so in the result and changes nothing else of it.
func (r *recording) finish() {
	if r == nil || r.relay == nil {
		return
	}
	r.relay.Stop()
	if err := r.read(); err != nil {
		r.result.Unrecorded = err.Error()
	}
}

func (r *recording) read() error {
	for _, role := range roles {
		t := Task{Role: role, Directory: r.directory}
		log, err := os.ReadFile(t.keyLog())
		if err != nil && !os.IsNotExist(err) { // an end that failed early has written none
			return err
		}
		for line := range bytes.Lines(log) {
			if _, err := r.writer.KeyLog().Write(line); err != nil {
				return err
			}
		}
	}
	if err := r.writer.Flush(); err != nil {
		return err
	}
	if r.rec.Directory != "" {
		name := filepath.Join(r.rec.Directory, captureName(r.result.String()))
		if err := private.WriteFile(name, r.file.Bytes()); err != nil { // it holds secrets
			return err
		}
		r.result.Capture = name
	}
	return r.dissect()
}

// dissect reads the connections of the recording: the messages of the last one,
// and what was broken in any.
func (r *recording) dissect() error {
	connections, keys, err := capture.ReadFile(bytes.NewReader(r.file.Bytes()))
	if err != nil {
		return err
	}
	if len(connections) == 0 {
		return errors.New("no connection was recorded")
	}
	p, err := r.result.Scenario.Load()
	if err != nil {
		return err
	}
	for _, c := range connections {
		d := dissect.Dissect(c, keys, p)
		r.result.Ladder, r.result.Findings = d.Ladder, append(r.result.Findings, d.Findings...)
	}
	if r.result.Scenario.Payload > 0 { // opaque, as the scenario wants it
		r.result.Findings = slices.DeleteFunc(r.result.Findings, func(f dissect.Finding) bool {
			return f.Failure == string(attls.FailMalformedCMW)
		})
	}
	return nil
}

// captureName makes a file name of a case's name.
func captureName(name string) string {
	return strings.Map(func(c rune) rune {
		switch {
		case c >= 'a' && c <= 'z', c >= 'A' && c <= 'Z', c >= '0' && c <= '9', c == '-', c == '_', c == '.':
			return c
		}
		return '_'
	}, strings.ReplaceAll(name, ">", "-to-")) + ".pcapng"
}
