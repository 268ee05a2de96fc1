// Copyright The Faultline Authors
// SPDX-License-Identifier: Apache-2.0

package recording

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"

	"github.com/klauspost/compress/zstd"
)

var (
	gzipMagic = []byte{0x1f, 0x8b}
	zstdMagic = []byte{0x28, 0xb5, 0x2f, 0xfd}

	errTooLong = fmt.Errorf("longer than %d MiB", MaxLine>>20)
)

// origin remembers why the file itself could not be read, to tell a failing
// disk from damaged content.
type origin struct {
	in  io.Reader
	err error
}

func (o *origin) Read(p []byte) (int, error) {
	n, err := o.in.Read(p)
	if err != nil && !errors.Is(err, io.EOF) {
		o.err = err
	}
	return n, err
}

// source cuts a recording into exports. A text is valid until the next call.
type source interface {
	// next returns io.EOF at the end; after errTooLong it can be called again.
	next() ([]byte, error)
}

// lines is a source of one export a line.
type lines struct {
	in  *bufio.Reader
	buf []byte
}

func newLines(in io.Reader) *lines { return &lines{in: bufio.NewReaderSize(in, bufferSize)} }

// next never keeps more than MaxLine of a line.
func (s *lines) next() ([]byte, error) {
	s.buf = s.buf[:0]
	tooLong := false
	for {
		part, err := s.in.ReadSlice('\n')
		if len(s.buf)+len(part) > MaxLine {
			tooLong = true
		} else if !tooLong {
			s.buf = append(s.buf, part...)
		}
		switch {
		case errors.Is(err, bufio.ErrBufferFull):
			continue
		case errors.Is(err, io.EOF) && len(s.buf) == 0 && !tooLong:
			return nil, io.EOF
		case err != nil && !errors.Is(err, io.EOF):
			return nil, err
		case tooLong:
			return nil, errTooLong
		}
		return s.buf, nil
	}
}

// messages is a source of what the file exporter writes under `compression:
// zstd`: for each export its length (4 bytes, big endian) and a zstd frame.
type messages struct {
	in   *bufio.Reader
	zstd *zstd.Decoder
	text []byte
}

func (s *messages) next() ([]byte, error) {
	var length [4]byte
	if _, err := io.ReadFull(s.in, length[:]); err != nil {
		return nil, err
	}
	n := int64(binary.BigEndian.Uint32(length[:]))
	frame := &io.LimitedReader{R: s.in, N: n}
	if err := s.zstd.Reset(frame); err != nil {
		return nil, err
	}
	s.text = s.text[:0]
	for {
		if len(s.text) == cap(s.text) {
			s.text = append(s.text, 0)[:len(s.text)]
		}
		k, err := s.zstd.Read(s.text[len(s.text):cap(s.text)])
		s.text = s.text[:len(s.text)+k]
		switch {
		case errors.Is(err, io.EOF) && frame.N > 0:
			return nil, io.ErrUnexpectedEOF // of the file, within the message
		case errors.Is(err, io.EOF):
			return s.text, nil
		case err != nil:
			return nil, err
		case len(s.text) > MaxLine:
			s.text = nil
			_, err := io.Copy(io.Discard, frame)
			return nil, errors.Join(errTooLong, err)
		}
	}
}

// newZstd returns a decoder that works in its caller's goroutine, with bounded
// memory.
func newZstd(in io.Reader) (*zstd.Decoder, error) {
	return zstd.NewReader(in, zstd.WithDecoderMaxMemory(1<<28), zstd.WithDecoderConcurrency(1))
}
