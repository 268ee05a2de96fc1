// Copyright The Faultline Authors
// SPDX-License-Identifier: Apache-2.0

package service

import (
	"context"
	"net"
	"sync"
	"time"
)

// door is a listener that can be closed and opened again while the server
// behind it goes on.
type door struct {
	address string
	arrived chan net.Conn
	shut    chan struct{} // closed for good

	mu     sync.Mutex
	real   net.Listener // nil while closed
	inside map[net.Conn]struct{}
	once   sync.Once
}

func newDoor(address string) (*door, error) {
	d := &door{address: address, arrived: make(chan net.Conn), shut: make(chan struct{}), inside: map[net.Conn]struct{}{}}
	return d, d.open()
}

// open listens, for at most a second while the address is still in use.
func (d *door) open() error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.real != nil {
		return nil
	}
	var l net.Listener
	var err error
	for range 10 {
		if l, err = new(net.ListenConfig).Listen(context.Background(), "tcp", d.address); err == nil {
			break
		}
		time.Sleep(100 * time.Millisecond)
	}
	if err != nil {
		return err
	}
	d.real = l
	go d.accept(l)
	return nil
}

func (d *door) accept(l net.Listener) {
	for {
		conn, err := l.Accept()
		if err != nil {
			d.mu.Lock()
			closed := d.real != l
			d.mu.Unlock()
			if closed {
				return
			}
			time.Sleep(5 * time.Millisecond) // out of descriptors
			continue
		}
		guest := &guest{conn, d}
		d.mu.Lock()
		d.inside[guest] = struct{}{}
		d.mu.Unlock()
		select {
		case d.arrived <- guest:
		case <-d.shut:
			_ = guest.Close()
			return
		}
	}
}

// close stops listening and ends all connections.
func (d *door) close() {
	d.mu.Lock()
	if d.real != nil {
		_ = d.real.Close()
		d.real = nil
	}
	d.mu.Unlock()
	d.hangUp()
}

// hangUp ends all connections.
func (d *door) hangUp() {
	d.mu.Lock()
	var all []net.Conn
	for c := range d.inside {
		all = append(all, c)
	}
	d.mu.Unlock()
	for _, c := range all {
		_ = c.Close()
	}
}

// Accept is net.Listener's.
func (d *door) Accept() (net.Conn, error) {
	select {
	case c := <-d.arrived:
		return c, nil
	case <-d.shut:
		return nil, net.ErrClosed
	}
}

// Close is net.Listener's: for good, but those inside may finish.
func (d *door) Close() error {
	d.once.Do(func() { close(d.shut) })
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.real == nil {
		return nil
	}
	err := d.real.Close()
	d.real = nil
	return err
}

// Addr is net.Listener's.
func (d *door) Addr() net.Addr {
	a, _ := net.ResolveTCPAddr("tcp", d.address)
	return a
}

// guest is a connection that the door counts.
type guest struct {
	net.Conn
	door *door
}

func (g *guest) Close() error {
	g.door.mu.Lock()
	delete(g.door.inside, g)
	g.door.mu.Unlock()
	return g.Conn.Close()
}
