// Copyright The Faultline Authors
// SPDX-License-Identifier: Apache-2.0

package fleet

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"
)

// wire is a piece of user space in a node's cable: frames are read from the one
// side, and written to the other if and when the shapes let them.
type wire struct {
	fds    [2]int // toward the node, toward the bridge
	shapes atomic.Pointer[[]Shape]
	stop   chan struct{}
	done   sync.WaitGroup
}

const (
	// vnetHeader precedes each frame: what the kernel left undone of it
	// (checksums, segmentation), so that the other side can leave it undone too.
	vnetHeader = 10
	maxFrame   = 1 << 16
	// wireQueue is how many frames may be under way; more are lost, as in a
	// router. It holds a second of the fleet's traffic.
	wireQueue = 4096
	// wakeUp is how often a reader looks whether it is over.
	wakeUp = 200 * time.Millisecond
)

// Shape makes a node's cable as the shapes say, instead of what it was told
// before. Without shapes it is an ordinary cable again.
func (f *Fleet) Shape(ctx context.Context, node *Node, shapes ...Shape) error {
	for i := range shapes {
		if s := &shapes[i]; s.Loss < 0 || s.Loss > 1 || s.Delay < 0 || s.Jitter < 0 {
			return fmt.Errorf("shape of %s: loss must be 0 to 1, delay and jitter not negative: %+v", node.Name, *s)
		}
	}
	node.mu.Lock()
	defer node.mu.Unlock()
	port := "w-" + node.Cable // the wire's own, whose other end is on the bridge
	switch {
	case node.wire == nil && len(shapes) > 0:
		if err := f.batch(ctx,
			"link add "+port+" type veth peer name b-"+node.Cable,
			"link set "+port+" up",
			"link set "+node.Cable+" nomaster",
			"link set b-"+node.Cable+" master br0 up"); err != nil {
			return err
		}
		w, err := newWire(f.Switch, node.Cable, port, shapes)
		if err != nil {
			return errors.Join(err, f.direct(ctx, node))
		}
		node.wire = w
	case node.wire != nil && len(shapes) > 0:
		node.wire.shapes.Store(&shapes)
	case node.wire != nil:
		node.wire.close()
		node.wire = nil
		return f.direct(ctx, node)
	}
	return nil
}

func newWire(netns, toNode, toBridge string, shapes []Shape) (*wire, error) {
	w := &wire{fds: [2]int{-1, -1}, stop: make(chan struct{})}
	w.shapes.Store(&shapes)
	for i, name := range []string{toNode, toBridge} {
		fd, err := tap(netns, name)
		if err != nil {
			for _, fd := range w.fds[:i] {
				_ = unix.Close(fd)
			}
			return nil, fmt.Errorf("tap %s: %w", name, err)
		}
		w.fds[i] = fd
	}
	w.pump(w.fds[0], w.fds[1], Out)
	w.pump(w.fds[1], w.fds[0], In)
	return w, nil
}

// tap opens an interface of a namespace for whole frames.
func tap(netns, name string) (int, error) {
	type result struct {
		fd  int
		err error
	}
	done := make(chan result, 1)
	go func() {
		runtime.LockOSThread() // and never unlocked: the thread ends here
		fd, err := func() (int, error) {
			ns, err := os.Open(filepath.Join("/run/netns", netns))
			if err != nil {
				return -1, err
			}
			defer ns.Close()
			if err := unix.Setns(int(ns.Fd()), unix.CLONE_NEWNET); err != nil {
				return -1, err
			}
			return tapHere(name)
		}()
		done <- result{fd, err}
	}()
	r := <-done
	return r.fd, r.err
}

func tapHere(name string) (int, error) {
	link, err := net.InterfaceByName(name)
	if err != nil {
		return -1, err
	}
	all := int(htons(unix.ETH_P_ALL))
	fd, err := unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return -1, err
	}
	timeout := unix.NsecToTimeval(wakeUp.Nanoseconds())
	err = errors.Join(
		unix.SetsockoptInt(fd, unix.SOL_PACKET, unix.PACKET_VNET_HDR, 1),
		unix.SetsockoptInt(fd, unix.SOL_PACKET, unix.PACKET_IGNORE_OUTGOING, 1),
		unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUFFORCE, 4<<20),
		unix.SetsockoptTimeval(fd, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &timeout),
		unix.Bind(fd, &unix.SockaddrLinklayer{Protocol: uint16(all), Ifindex: link.Index}),
	)
	if err != nil {
		_ = unix.Close(fd)
		return -1, err
	}
	return fd, nil
}

func htons(v uint16) uint16 { return v<<8 | v>>8 }

// frame is under way until it is due.
type frame struct {
	data []byte
	due  time.Time
}

// pump carries frames one way.
func (w *wire) pump(from, to int, way Way) {
	under := make(chan frame, wireQueue)
	w.done.Go(func() {
		defer close(under)
		buf := make([]byte, vnetHeader+maxFrame)
		var last time.Time
		for {
			n, err := unix.Read(from, buf)
			select {
			case <-w.stop:
				return
			default:
			}
			if err != nil || n < vnetHeader {
				if errors.Is(err, unix.EBADF) {
					return
				}
				continue // nothing came, or the link is down for a moment
			}
			lost, later := fate(*w.shapes.Load(), buf[vnetHeader:n], way)
			switch {
			case lost:
				continue
			case later == 0: // it is no matter of those that are held up
				_, _ = unix.Write(to, buf[:n])
				continue
			}
			due := time.Now().Add(later)
			if due.Before(last) {
				due = last // none overtakes another that is held up, too
			}
			select {
			case under <- frame{append([]byte(nil), buf[:n]...), due}:
				last = due
			default:
			}
		}
	})
	w.done.Go(func() {
		for f := range under {
			if wait := time.Until(f.due); wait > 0 {
				select {
				case <-time.After(wait):
				case <-w.stop:
				}
			}
			_, _ = unix.Write(to, f.data)
		}
	})
}

func (w *wire) close() {
	close(w.stop)
	w.done.Wait()
	for _, fd := range w.fds {
		_ = unix.Close(fd)
	}
}
