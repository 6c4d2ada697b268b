//go:build ignore

// This file is no part of the command beside it: fetch.sh builds it into
// BoringSSL's runner, which alone knows its tests.

package runner

import (
	"encoding/json"
	"os"
	"testing"
)

// TestList writes what decides whether a test is within our scope: transport,
// role, the versions that the runner negotiates, and the flags of the shim.
func TestList(t *testing.T) {
	file := os.Getenv("ATTLS_BOGO_LIST")
	if file == "" {
		t.Skip("ATTLS_BOGO_LIST names no file")
	}
	//FILL with the calls that make certificates and fill testCases
	type entry struct {
		Name          string   `json:"name"`
		Transport     string   `json:"transport"`
		Server        bool     `json:"server"`
		Version       uint16   `json:"version"`
		ResumeVersion uint16   `json:"resume_version"`
		Fails         bool     `json:"fails"`
		Error         string   `json:"error,omitempty"`
		LocalError    string   `json:"local_error,omitempty"`
		Flags         []string `json:"flags,omitempty"`
	}
	names := map[protocol]string{tls: "tls", dtls: "dtls", quic: "quic"}
	var list []entry
	for i := range testCases {
		c := &testCases[i]
		e := entry{Name: c.name, Transport: names[c.protocol], Server: c.testType == serverTest,
			Version: c.config.MaxVersion, Fails: c.shouldFail, Error: c.expectedError, LocalError: c.expectedLocalError,
			Flags: c.flags}
		if c.config.Bugs.NegotiateVersion != 0 {
			e.Version = c.config.Bugs.NegotiateVersion
		}
		e.ResumeVersion = e.Version
		if c.resumeConfig != nil {
			e.ResumeVersion = c.resumeConfig.MaxVersion
		}
		list = append(list, e)
	}
	b, err := json.MarshalIndent(list, "", " ")
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, b, 0o644); err != nil {
		t.Fatal(err)
	}
}
