// SPDX-License-Identifier: Apache-2.0

package crm

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"sync"
)

// TokenSource gives the bearer token of the next request. It is safe for concurrent
// use. An error names the configuration field, and nothing of the token.
type TokenSource interface {
	Token() (string, error)
}

// fixedToken is a token that stays. A function hides it from %v.
type fixedToken func() string

// NewToken returns a source of one token, or says what is wrong with it. An error names
// the field access_token.
func NewToken(token string) (TokenSource, error) {
	if err := checkToken(token); err != nil {
		return nil, fmt.Errorf("access_token: %w", err)
	}
	return fixedToken(func() string { return token }), nil
}

// Token implements [TokenSource].
func (t fixedToken) Token() (string, error) { return t(), nil }

func checkToken(token string) error {
	switch {
	case token == "":
		return errors.New("it is empty: want a token of an integration in this account")
	case strings.ContainsFunc(token, func(r rune) bool { return r <= ' ' || r >= 0x7f }):
		return errors.New("it has a space or another character that no token has: want the token alone, without Bearer")
	}
	return nil
}

// maxTokenFile is the longest file that is read, in bytes. A token has about one
// thousand.
const maxTokenFile = 64 << 10

// TokenFile is a token in a file, which is read for each request, so that a new token
// needs no restart. White space around it is left out. Where the file can't be read, or
// has no token, the last one goes on to be used, because it may be good and the file may
// just be about to be written.
type TokenFile struct {
	path string

	mu   sync.Mutex
	last fixedToken // nil: none yet
	err  error      // of the latest reading
}

// NewTokenFile reads a token from a file, and returns the source. An error names the
// field access_token_file and the path.
func NewTokenFile(path string) (*TokenFile, error) {
	if path == "" {
		return nil, errors.New("access_token_file: it is empty: want the path of a file that holds a token")
	}
	f := &TokenFile{path: path}
	if _, err := f.Token(); err != nil {
		return nil, err
	}
	return f, nil
}

// Token implements [TokenSource]. It fails only as long as the file never had a token.
func (f *TokenFile) Token() (string, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	token, err := readTokenFile(f.path)
	if f.err = err; err == nil {
		f.last = func() string { return token }
	}
	if f.last == nil {
		return "", f.err
	}
	return f.last(), nil
}

// Err is why the latest reading of the file gave no token, or nil: the last one is in use
// then.
func (f *TokenFile) Err() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.err
}

func readTokenFile(path string) (string, error) {
	fail := func(format string, args ...any) (string, error) {
		return "", fmt.Errorf("access_token_file: %s: "+format, append([]any{path}, args...)...)
	}
	// A pipe would be read once, and a device for ever.
	info, err := os.Stat(path)
	switch {
	case err != nil:
		return fail("%w", reasonAlone(err))
	case !info.Mode().IsRegular():
		return fail("it is not a file: want the path of a file that holds a token")
	}
	file, err := os.Open(path)
	if err != nil {
		return fail("%w", reasonAlone(err))
	}
	defer func() { _ = file.Close() }()
	content, err := io.ReadAll(io.LimitReader(file, maxTokenFile+1))
	switch {
	case err != nil:
		return fail("%w", reasonAlone(err))
	case len(content) > maxTokenFile:
		return fail("it is longer than %d bytes: want a token alone", maxTokenFile)
	}
	token := string(bytes.TrimSpace(bytes.TrimPrefix(content, []byte("\ufeff"))))
	if err := checkToken(token); err != nil {
		return fail("%w", err)
	}
	return token, nil
}

// reasonAlone leaves out the path, which the error names already.
func reasonAlone(err error) error {
	if path, ok := errors.AsType[*os.PathError](err); ok {
		return path.Err
	}
	return err
}
