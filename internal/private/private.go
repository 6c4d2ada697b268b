// Package private writes files that hold secrets: afterwards only their owner can
// read them, whatever was there before.
//
// A symbolic link is followed, as its owner meant it to be, and stays; what is said
// of modes holds for the file behind it. Devices, pipes and sockets are written as
// they are.
package private

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

const mode = 0o600

// Create makes a new, empty file. A file of that name is replaced, not emptied:
// a program that has it open does not see what is written.
func Create(name string) (*os.File, error) {
	target, special, err := resolve(name)
	if err != nil {
		return nil, err
	}
	if special {
		return os.OpenFile(name, os.O_WRONLY, 0)
	}
	file, err := os.CreateTemp(filepath.Dir(target), "."+filepath.Base(target)+"-*") // CreateTemp's mode is 0600
	if err != nil {
		return inPlace(target, os.O_TRUNC) // a directory in which no file can be made
	}
	if err := os.Rename(file.Name(), target); err != nil {
		os.Remove(file.Name())
		file.Close()
		return nil, err
	}
	return file, nil
}

// Append opens a file to write at its end, and makes it if there is none. The mode
// of one that others could read is changed before anything is written.
func Append(name string) (*os.File, error) {
	target, special, err := resolve(name)
	if err != nil {
		return nil, err
	}
	if special {
		return os.OpenFile(name, os.O_WRONLY|os.O_APPEND, 0)
	}
	return inPlace(target, os.O_APPEND)
}

// WriteFile writes a whole file. Where the name can be replaced, there is the old
// file or the new one at any time, never a part of it.
func WriteFile(name string, b []byte) error {
	target, special, err := resolve(name)
	if err != nil {
		return err
	}
	if special {
		return write(os.OpenFile(name, os.O_WRONLY, 0))(b)
	}
	file, err := os.CreateTemp(filepath.Dir(target), "."+filepath.Base(target)+"-*")
	if err != nil {
		return write(inPlace(target, os.O_TRUNC))(b)
	}
	_, err = file.Write(b)
	if err = errors.Join(err, file.Close()); err == nil {
		err = os.Rename(file.Name(), target)
	}
	if err != nil {
		os.Remove(file.Name())
	}
	return err
}

// Remove removes a file that one of the functions above has written: the one behind
// symbolic links, which holds the secrets. Devices, pipes and sockets are left alone,
// and a missing file is not an error.
func Remove(name string) error {
	target, special, err := resolve(name)
	if err != nil || special {
		return err
	}
	if err := os.Remove(target); !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

func write(file *os.File, err error) func([]byte) error {
	return func(b []byte) error {
		if err != nil {
			return err
		}
		_, err := file.Write(b)
		return errors.Join(err, file.Close())
	}
}

// resolve finds the file behind symbolic links, which need not be there yet, and
// whether it is something else than a regular file.
func resolve(name string) (target string, special bool, err error) {
	target = name
	const most = 40 // links, as the system follows
	for range most {
		info, err := os.Lstat(target)
		switch {
		case errors.Is(err, fs.ErrNotExist):
			return target, false, nil
		case err != nil:
			return "", false, err
		case info.IsDir():
			return "", false, &fs.PathError{Op: "open", Path: name, Err: errors.New("is a directory")}
		case info.Mode()&fs.ModeSymlink == 0:
			return target, !info.Mode().IsRegular(), nil
		}
		link, err := os.Readlink(target)
		if err != nil {
			return "", false, err
		}
		if info, err := os.Stat(target); err == nil && !info.Mode().IsRegular() && !info.IsDir() {
			return target, true, nil // /dev/stdout, /dev/fd/3 are links to what has no name
		}
		if !filepath.IsAbs(link) {
			link = filepath.Join(filepath.Dir(target), link)
		}
		target = link
	}
	return "", false, &fs.PathError{Op: "open", Path: name, Err: errors.New("too many levels of symbolic links")}
}

// inPlace opens a file under its own name.
func inPlace(name string, flags int) (*os.File, error) {
	// It is emptied once nobody else can read it.
	file, err := os.OpenFile(name, os.O_WRONLY|os.O_CREATE|flags&^os.O_TRUNC, mode)
	if err != nil {
		return nil, err
	}
	if err := protect(file); err != nil {
		file.Close()
		return nil, err
	}
	if flags&os.O_TRUNC != 0 {
		if err := file.Truncate(0); err != nil {
			file.Close()
			return nil, err
		}
	}
	return file, nil
}

// protect takes the rights of others from an open file.
func protect(file *os.File) error {
	info, err := file.Stat()
	if err != nil {
		return err
	}
	if !info.Mode().IsRegular() || info.Mode().Perm()&0o077 == 0 {
		return nil
	}
	if err := file.Chmod(mode); err != nil {
		return fmt.Errorf("%s is to hold secrets, others can read it, and its mode cannot be changed: %w", file.Name(), err)
	}
	return nil
}
