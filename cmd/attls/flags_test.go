package main

import (
	"strings"
	"testing"
)

// TestFlagValues: a value that a flag cannot have is an error of the command line
// that names the flag.
func TestFlagValues(t *testing.T) {
	for name, test := range map[string]struct {
		args []string
		want string
	}{
		"no trust anchors":                {[]string{"client", "--ca", ""}, "--ca has an empty value"},
		"no verifier":                     {[]string{"server", "--verifier-file="}, "--verifier-file has an empty value"},
		"no program":                      {[]string{"client", "--appraiser-cmd", ""}, "--appraiser-cmd has an empty value"},
		"no session":                      {[]string{"client", "--sess-in", ""}, "--sess-in has an empty value"},
		"no address":                      {[]string{"server", "--bind", ""}, "--bind has an empty value"},
		"no suite":                        {[]string{"server", "--suites", ""}, "--suites has an empty value"},
		"an empty suite among others":     {[]string{"server", "--suites", "TLS_AES_128_GCM_SHA256,"}, "--suites has an empty value"},
		"no certificate":                  {[]string{"server", "--cert", ""}, "--cert has an empty value"},
		"no profile":                      {[]string{"demo", "--profile", ""}, "--profile has an empty value"},
		"no failure":                      {[]string{"demo", "--fail", ""}, "--fail has an empty value"},
		"no challenge to make":            {[]string{"evidence", "make", "--challenge", ""}, "--challenge has an empty value"},
		"no challenge to appraise":        {[]string{"evidence", "appraise", "--challenge", "", "-"}, "--challenge has an empty value"},
		"no root of trust":                {[]string{"evidence", "make", "--attester-file", ""}, "--attester-file has an empty value"},
		"no case":                         {[]string{"conform", "--case", ""}, "--case has an empty value"},
		"no row":                          {[]string{"spec", "--prove", "--row", ""}, "--row has an empty value"},
		"a name for no profile":           {[]string{"profile", "new", "--name", ""}, "--name has an empty value"},
		"connections below zero":          {[]string{"server", "--port", "0", "--max-connections", "-1"}, "--max-connections -1"},
		"places below zero":               {[]string{"server", "--port", "0", "--max-open", "-1"}, "--max-open -1"},
		"places without end":              {[]string{"server", "--port", "0", "--max-open", "99999999999"}, "--max-open 99999999999"},
		"padding below zero":              {[]string{"client", "--pad-to", "-1"}, "--pad-to -1: 0 to 16384"},
		"padding beyond a record":         {[]string{"client", "--pad-to", "16385"}, "--pad-to 16385: 0 to 16384"},
		"a port below zero":               {[]string{"server", "--port", "-1"}, "--port -1: 0 to 65535"},
		"a port beyond the last":          {[]string{"server", "--port", "65536"}, "--port 65536: 0 to 65535"},
		"no time":                         {[]string{"client", "--timeout", "0"}, "--timeout 0s: the time must be longer than 0"},
		"a time below zero":               {[]string{"server", "--timeout", "-1s"}, "--timeout -1s"},
		"an idle time below zero":         {[]string{"server", "--idle-timeout", "-1s"}, "--idle-timeout -1s"},
		"pieces below zero":               {[]string{"demo", "--split", "-1"}, "--split -1"},
		"a grid without a connection":     {[]string{"grid", "--parallel", "0"}, "--parallel 0"},
		"rounds below zero":               {[]string{"bench", "record", "--rounds", "-1"}, "--rounds -1"},
		"connections in a row below 0":    {[]string{"bench", "connections", "--in-a-row", "-1"}, "--in-a-row -1"},
		"no connection in a row":          {[]string{"bench", "connections", "--in-a-row", "0"}, "--in-a-row 0: 1 to 1000000 are possible"},
		"no connection at once":           {[]string{"bench", "connections", "--at-once", "0"}, "--at-once 0: 1 to 1000000 are possible"},
		"no idle connection":              {[]string{"bench", "connections", "--idle", "0"}, "--idle 0: 1 to 1000000 are possible"},
		"idle connections below 0":        {[]string{"bench", "connections", "--idle", "-1"}, "--idle -1"},
		"runs below zero":                 {[]string{"bench", "sessions", "--repeats", "-1"}, "--repeats -1"},
		"a bound below zero":              {[]string{"bench", "connections", "--at-most", "-1"}, "--at-most -1"},
		"a bound that is no number":       {[]string{"bench", "connections", "--at-most", "NaN"}, "--at-most NaN"},
		"Evidence below zero":             {[]string{"evidence", "serve", "--opaque", "-1"}, "--opaque -1"},
		"a key without a certificate":     {[]string{"server", "--key", "missing.pem"}, "--key does nothing without --cert or --raw-public-key"},
		"an authority for no certificate": {[]string{"server", "--issuer-cert", "missing.pem"}, "--issuer-cert does nothing without --cert"},
		"an authority's key alone":        {[]string{"server", "--issuer-key", "missing.pem"}, "--issuer-key does nothing without --issuer-cert"},
		"an identity without a key":       {[]string{"client", "--psk-identity", "me"}, "--psk-identity does nothing without --psk"},
		"a size of no early data":         {[]string{"server", "--max-early-data", "1"}, "--max-early-data does nothing without --early-data"},
		"inputs without claims":           {[]string{"client", "--binder-inputs"}, "--binder-inputs does nothing without --json"},
		"names of no trust anchors":       {[]string{"server", "--no-ca-names"}, "--no-ca-names does nothing without --ca"},
		"no way to ask for a certificate": {[]string{"server", "--pha"}, "--pha does nothing without --commands"},
		"a cookie without a place":        {[]string{"demo", "--cookie"}, "--cookie does nothing without --hello-retry"},
		"commands that nobody reads":      {[]string{"server", "--www", "--commands"}, "commands"},
		"commands beside a request":       {[]string{"client", "--http-get", "/", "--commands"}, "commands"},
		"no server":                       {[]string{"client", ""}, "is empty"},
		"a port that is too large":        {[]string{"client", "localhost:99999"}, "\"99999\" is not a port"},
		"a port with letters":             {[]string{"client", "localhost:abc"}, "\"abc\" is not a port"},
		"a client's port 0":               {[]string{"client", "localhost:0"}, "\"0\" is not a port"},
		"a request without a path":        {[]string{"client", "--http-get", "index.html"}, "--http-get"},
		"a request with two lines":        {[]string{"client", "--http-get", "/\r\nX: y"}, "--http-get"},
		"a model in plain TLS":            {[]string{"client", "--profile", "none", "--model", "results"}, "--model does nothing in plain TLS"},
		"a verifier in plain TLS":         {[]string{"server", "--profile", "none", "--verifier-file", "missing"}, "--verifier-file does nothing in plain TLS"},
		"a name with a space":             {[]string{"profile", "new", "--name", "a b"}, "--name"},
		"a name with a line feed":         {[]string{"profile", "new", "--name", "a\nbase: b"}, "--name"},
		"the name of a published text":    {[]string{"profile", "new", "--name", "early-attestation-06"}, "--name"},
		"the name of plain TLS":           {[]string{"profile", "new", "--name", "none"}, "--name"},
		"a number with letters":           {[]string{"demo", "-q", "--code-point", "extensions.remoteAttestation=0xff06zz"}, "--code-point"},
		"a number with an exponent":       {[]string{"demo", "-q", "--code-point", "extensions.remoteAttestation=1e2"}, "--code-point"},
	} {
		t.Run(name, func(t *testing.T) {
			if code, stdout, stderr := command(t, test.args...); code != exitUsage || stdout != "" || !strings.Contains(stderr, test.want) {
				t.Errorf("%v: exit code %d, %s%s, want %q", test.args, code, stdout, stderr, test.want)
			}
		})
	}
}
