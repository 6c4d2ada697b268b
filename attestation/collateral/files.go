package collateral

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"attls/attestation"
)

// Write writes files into a directory, which it makes if need be. They replace those of
// the same name, each as a whole, and only after all could be written: on an error before
// that, what was there is as it was.
func Write(directory string, files []attestation.PublishedFile) (err error) {
	if err := os.MkdirAll(directory, 0o755); err != nil {
		return err
	}
	var temporary []string
	defer func() {
		for _, name := range temporary {
			if e := os.Remove(name); !errors.Is(e, os.ErrNotExist) {
				err = errors.Join(err, e)
			}
		}
	}()
	for _, f := range files {
		name := filepath.Join(directory, f.Name)
		if info, err := os.Lstat(name); err == nil && info.IsDir() {
			return fmt.Errorf("%s is a directory", name)
		}
		t, err := os.CreateTemp(directory, "."+f.Name+"-*")
		if err != nil {
			return err
		}
		temporary = append(temporary, t.Name())
		_, err = t.Write(f.Octets)
		if err = errors.Join(err, t.Chmod(0o644), t.Sync(), t.Close()); err != nil {
			return err
		}
	}
	for i, f := range files {
		if err := os.Rename(temporary[i], filepath.Join(directory, f.Name)); err != nil {
			return err
		}
	}
	return nil
}
