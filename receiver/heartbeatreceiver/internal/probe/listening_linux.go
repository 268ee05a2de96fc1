// Copyright The Faultline Authors
// SPDX-License-Identifier: Apache-2.0

//go:build linux

package probe

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"io"
	"net/netip"
	"os"
	"path/filepath"
	"strconv"
)

// listener is one socket that takes TCP connections.
type listener struct {
	at    netip.AddrPort // as bound
	inode uint64
}

// maxListeners are read of one table, garbage included.
const maxListeners = 1 << 16

// listeners lists the sockets of our network namespace that take TCP connections.
// That is this thread's: the first of the process may have been put into another.
func (p procfs) listeners() ([]listener, error) { return tables(p, parseListeners) }

// maxConnections are read of one table, garbage included.
const maxConnections = 1 << 14

// connections lists the standing TCP connections of our network namespace, or a
// part of them where there are very many.
func (p procfs) connections() ([]opened, error) { return tables(p, parseConnections) }

// tables reads what parse finds in the tables of both families.
func tables[T any](p procfs, parse func(io.Reader) ([]T, error)) ([]T, error) {
	var all []T
	for _, name := range []string{"tcp", "tcp6"} {
		f, err := os.Open(filepath.Join(p.root, "thread-self", "net", name))
		if errors.Is(err, os.ErrNotExist) && name == "tcp6" {
			break // a kernel without IPv6
		}
		if err != nil {
			return nil, err
		}
		some, err := parse(f)
		_ = f.Close()
		if err != nil {
			return nil, err
		}
		all = append(all, some...)
	}
	return all, nil
}

// Places of fields in a row of /proc/net/tcp (the kernel's
// Documentation/networking/proc_net_tcp.rst).
const (
	rowLocal  = 1
	rowRemote = 2
	rowState  = 3
	rowInode  = 9
)

// parseListeners reads a table up to its first row that does not listen. The
// kernel lists those that do first, and then up to hundreds of thousands of
// connections. Rows that make no sense are left out.
func parseListeners(r io.Reader) ([]listener, error) {
	var all []listener
	rows := bufio.NewReaderSize(r, os.Getpagesize()) // as much as the kernel makes at a time
	for range maxListeners {
		row, err := rows.ReadSlice('\n')
		if err != nil && !errors.Is(err, io.EOF) && !errors.Is(err, bufio.ErrBufferFull) {
			return nil, err
		}
		f := bytes.Fields(row)
		if len(f) > rowInode {
			const listens = 0x0a
			// The table's head has no state, either.
			if state, err := strconv.ParseUint(string(f[rowState]), 16, 8); err == nil && state != listens {
				break
			}
			at, ok := parseSocketAddress(f[rowLocal])
			inode, badInode := strconv.ParseUint(string(f[rowInode]), 10, 64)
			if ok && badInode == nil && inode > 0 {
				all = append(all, listener{at, inode})
			}
		}
		if errors.Is(err, io.EOF) {
			break
		}
	}
	return all, nil
}

// parseConnections reads the rows of a table that are of standing connections.
func parseConnections(r io.Reader) ([]opened, error) {
	var all []opened
	rows := bufio.NewReaderSize(r, os.Getpagesize())
	for range maxConnections {
		row, err := rows.ReadSlice('\n')
		if err != nil && !errors.Is(err, io.EOF) && !errors.Is(err, bufio.ErrBufferFull) {
			return nil, err
		}
		const stands = "01"
		if f := bytes.Fields(row); len(f) > rowInode && string(f[rowState]) == stands {
			local, okLocal := parseSocketAddress(f[rowLocal])
			remote, okRemote := parseSocketAddress(f[rowRemote])
			inode, badInode := strconv.ParseUint(string(f[rowInode]), 10, 64)
			if okLocal && okRemote && badInode == nil && inode > 0 {
				all = append(all, opened{local, remote, inode})
			}
		}
		if errors.Is(err, io.EOF) {
			break
		}
	}
	return all, nil
}

// parseSocketAddress reads "0100007F:1F90": words of four bytes as the processor
// holds them, and the port. An IPv4 address in IPv6 clothes is told as what it is.
func parseSocketAddress(s []byte) (netip.AddrPort, bool) {
	ip, port, ok := bytes.Cut(s, []byte(":"))
	if !ok || len(ip) != 8 && len(ip) != 32 || len(port) != 4 {
		return netip.AddrPort{}, false
	}
	var raw [16]byte
	n, err := hex.Decode(raw[:], ip)
	if err != nil {
		return netip.AddrPort{}, false
	}
	for word := 0; word < n; word += 4 {
		binary.NativeEndian.PutUint32(raw[word:], binary.BigEndian.Uint32(raw[word:]))
	}
	addr, _ := netip.AddrFromSlice(raw[:n])
	number, err := strconv.ParseUint(string(port), 16, 16)
	return netip.AddrPortFrom(addr.Unmap(), uint16(number)), err == nil && number > 0
}
