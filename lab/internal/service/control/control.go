// Copyright The Faultline Authors
// SPDX-License-Identifier: Apache-2.0

package control

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"time"
)

// command is one line of the protocol.
type command struct {
	Name string   `json:"name"`
	Args []string `json:"args,omitempty"`
}

// reply answers a command.
type reply struct {
	Answer string `json:"answer,omitempty"`
	Error  string `json:"error,omitempty"`
}

// patience is how long a command may take if its ctx says nothing.
const patience = 15 * time.Second

// ErrEnded means that the connection ended without a reply, as it does where
// the command was to end the process.
var ErrEnded = errors.New("the process ended the connection without a reply")

// Send gives one command to the process that listens at socket.
func Send(ctx context.Context, socket, name string, args ...string) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	var d net.Dialer
	conn, err := d.DialContext(ctx, "unix", socket)
	if err != nil {
		return "", err
	}
	defer conn.Close()
	deadline, _ := ctx.Deadline()
	_ = conn.SetDeadline(deadline)
	line, err := json.Marshal(command{name, args})
	if err != nil {
		return "", err
	}
	if _, err := conn.Write(append(line, '\n')); err != nil {
		return "", err
	}
	text, err := bufio.NewReader(conn).ReadBytes('\n')
	if err != nil {
		if errors.Is(err, os.ErrDeadlineExceeded) {
			return "", err
		}
		return "", ErrEnded
	}
	var r reply
	if err := json.Unmarshal(text, &r); err != nil {
		return "", fmt.Errorf("reply %q: %w", text, err)
	}
	if r.Error != "" {
		return "", errors.New(r.Error)
	}
	return r.Answer, nil
}

// Serve answers commands at socket until the process ends.
func Serve(socket string, do func(name string, args []string) (string, error)) error {
	_ = os.Remove(socket) // of a process that was killed
	l, err := new(net.ListenConfig).Listen(context.Background(), "unix", socket)
	if err != nil {
		return err
	}
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				if errors.Is(err, net.ErrClosed) {
					return
				}
				time.Sleep(10 * time.Millisecond) // out of descriptors, which the lab does on purpose
				continue
			}
			go answer(conn, do)
		}
	}()
	return nil
}

func answer(conn net.Conn, do func(string, []string) (string, error)) {
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(time.Minute))
	line, err := bufio.NewReader(conn).ReadBytes('\n')
	if err != nil {
		return
	}
	var c command
	var r reply
	if err = json.Unmarshal(line, &c); err == nil {
		r.Answer, err = do(c.Name, c.Args)
	}
	if err != nil {
		r.Error = err.Error()
	}
	text, err := json.Marshal(r)
	if err != nil {
		return
	}
	_, _ = conn.Write(append(text, '\n'))
}
