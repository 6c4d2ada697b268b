//go:build unix

package attestation

import (
	"context"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"attls"
	"attls/negotiation"
)

const fifoVariable = "ATTLS_TEST_FIFO"

// family is a program that starts another one of itself, which holds both outputs
// and says through pipes that it is there; how is what the first one then does.
func family(how string, out io.Writer) int {
	exe, err := os.Executable()
	if err != nil {
		return 20
	}
	child := exec.Command(exe)
	child.Env = append(os.Environ(), programVariable+"=grandchild")
	child.Stdout, child.Stderr = os.Stdout, os.Stderr
	there, tell, err := os.Pipe()
	if err != nil {
		return 23
	}
	child.ExtraFiles = []*os.File{tell}
	if err := child.Start(); err != nil {
		return 21
	}
	if _, err := io.ReadFull(there, make([]byte, 1)); err != nil {
		return 24
	}
	switch how {
	case "family hangs":
		select {}
	case "family floods":
		return program("flood", nil, out, nil)
	case "family fails":
		return 7
	}
	io.WriteString(out, `{"status":"affirming","spki":"AA=="}`)
	return 0
}

func grandchild() int {
	f, err := os.OpenFile(os.Getenv(fifoVariable), os.O_WRONLY, 0)
	if err != nil {
		return 22
	}
	f.Write([]byte{1})
	os.NewFile(3, "parent").Write([]byte{1})
	time.Sleep(time.Hour)
	return 0
}

// TestCommandGroup: nothing that a program started outlives the request.
func TestCommandGroup(t *testing.T) {
	for _, test := range []struct {
		how     string
		timeout time.Duration // 0: long
		cancel  bool
		want    attls.Failure
		says    string
	}{
		{how: "family hangs", cancel: true, want: attls.FailVerifierUnreachable, says: "context canceled"},
		{how: "family hangs", timeout: time.Second, want: attls.FailTimeout, says: "deadline exceeded"},
		{how: "family floods", want: attls.FailVerifierUnreachable, says: "more than"},
		{how: "family fails", want: attls.FailVerifierUnreachable, says: "exit status 7"},
		{how: "family answers"},
	} {
		name := test.how
		if test.cancel {
			name += " and is cancelled"
		}
		t.Run(name, func(t *testing.T) {
			fifo := filepath.Join(t.TempDir(), "fifo")
			if err := syscall.Mkfifo(fifo, 0o600); err != nil {
				t.Fatal(err)
			}
			c := testCommand(t, test.how)
			c.Env = append(c.Env, fifoVariable+"="+fifo)
			if c.Timeout = test.timeout; c.Timeout == 0 {
				c.Timeout = time.Minute
			}
			ctx, cancel := context.WithCancel(context.Background())
			defer cancel()
			// Opened at both ends, so that opening waits for nobody; the own writer is
			// closed when the request is over.
			reader, err := os.OpenFile(fifo, os.O_RDONLY|syscall.O_NONBLOCK, 0)
			if err != nil {
				t.Fatal(err)
			}
			defer reader.Close()
			writer, err := os.OpenFile(fifo, os.O_WRONLY, 0)
			if err != nil {
				t.Fatal(err)
			}
			defer writer.Close()
			reader.SetReadDeadline(time.Now().Add(time.Minute)) // never reached when all is well
			result := make(chan error, 1)
			go func() {
				_, err := c.Appraise(ctx, &negotiation.AppraisalRequest{CMW: []byte{0}})
				result <- err
			}()
			if test.cancel {
				if _, err := io.ReadFull(reader, make([]byte, 1)); err != nil {
					t.Fatal(err)
				}
				cancel()
			}
			err = <-result
			writer.Close()
			var e *attls.Error
			if test.want == "" && err != nil || test.want != "" && (!errors.As(err, &e) || e.Failure != test.want || !strings.Contains(err.Error(), test.says)) {
				t.Errorf("%v, want %s and %q", err, test.want, test.says)
			}
			rest, err := io.ReadAll(reader) // ends when nobody can write any more
			if err != nil {
				t.Errorf("the grandchild lives on: %v", err)
			}
			// Where the time is short it may be over before there is a grandchild.
			if len(rest) == 0 && !test.cancel && test.timeout == 0 {
				t.Error("there was no grandchild")
			}
		})
	}
}
