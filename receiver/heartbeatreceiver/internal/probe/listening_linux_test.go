// Copyright The Faultline Authors
// SPDX-License-Identifier: Apache-2.0

package probe

import (
	"errors"
	"fmt"
	"io"
	"net/netip"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

const (
	tableHead  = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode                                                     \n"
	connection = "   9: 0100007F:9D53 0100007F:E3A2 01 00000000:00000000 03:0000109A 00000000     0        0 77 3 00000000582d2a6d                                      \n"
)

func TestListenersOfATable(t *testing.T) {
	for name, tt := range map[string]struct {
		table string
		want  []listener
	}{
		"ipv4": {
			tableHead +
				"   0: 00000000:07E8 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 1126 1 0000000044a36b93 100 0 0 10 0\n" +
				"   1: 0100007F:1538 00000000:0000 0A 00000000:00000000 00:00000000 00000000    70        0 4711 1 00000000cafe0001 100 0 0 10 0\n" +
				connection,
			[]listener{{netip.MustParseAddrPort("0.0.0.0:2024"), 1126}, {netip.MustParseAddrPort("127.0.0.1:5432"), 4711}},
		},
		"ipv6": {
			"  sl  local_address                         remote_address                        st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n" +
				"   0: 00000000000000000000000000000000:0050 00000000000000000000000000000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 21 1 0000000000000000 100 0 0 10 0\n" +
				"   1: B80D0120000000000000000001000000:1F90 00000000000000000000000000000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 22 1 0000000000000000 100 0 0 10 0\n" +
				"   2: 0000000000000000FFFF00000100007F:2328 00000000000000000000000000000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 23 1 0000000000000000 100 0 0 10 0\n",
			[]listener{
				{netip.MustParseAddrPort("[::]:80"), 21},
				{netip.MustParseAddrPort("[2001:db8::1]:8080"), 22},
				{netip.MustParseAddrPort("127.0.0.1:9000"), 23},
			},
		},
		"garbage_is_left_out": {
			tableHead + "\n\x00\xff\n   1: nonsense\n" +
				"   2: 0100007F:ZZZZ 00000000:0000 0A 0:0 0:0 0 0 0 31 1\n" +
				"   3: 0100007:1F90 00000000:0000 0A 0:0 0:0 0 0 0 32 1\n" +
				"   4: 0100007F:0000 00000000:0000 0A 0:0 0:0 0 0 0 33 1\n" +
				"   5: 0100007F:1F90 00000000:0000 0A 0:0 0:0 0 0 0 -34 1\n" +
				"   6: 0100007F:1F90 00000000:0000 0A 0:0 0:0 0 0 0 0 1\n" +
				strings.Repeat("x", 20_000) + "\n" +
				"   7: 0100007F:1F90 00000000:0000 0A 0:0 0:0 0 0 0 35 1\n",
			[]listener{{netip.MustParseAddrPort("127.0.0.1:8080"), 35}},
		},
		"cut_off_in_the_middle": {tableHead + "   0: 0100007F:1F90 00000000:0000 0A 0:0", nil},
		"none":                  {tableHead + connection, nil},
		"empty":                 {"", nil},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := parseListeners(strings.NewReader(tt.table))
			require.NoError(t, err)
			assert.Equal(t, tt.want, got)
		})
	}
}

// meter counts what is read of it.
type meter struct {
	io.Reader
	read int
}

func (m *meter) Read(b []byte) (int, error) {
	n, err := m.Reader.Read(b)
	m.read += n
	return n, err
}

func TestConnectionsAreNotRead(t *testing.T) {
	table := tableHead +
		"   0: 0100007F:1F90 00000000:0000 0A 0:0 0:0 0 0 0 35 1\n" +
		strings.Repeat(connection, 100_000) +
		"   0: 0100007F:1F91 00000000:0000 0A 0:0 0:0 0 0 0 36 1\n"
	m := &meter{Reader: strings.NewReader(table)}
	got, err := parseListeners(m)
	require.NoError(t, err)
	assert.Equal(t, []listener{{netip.MustParseAddrPort("127.0.0.1:8080"), 35}}, got)
	assert.Less(t, m.read, 1<<17, "of %d bytes", len(table))
}

func TestTableThatCannotBeReadIsAnError(t *testing.T) {
	_, err := parseListeners(io.MultiReader(strings.NewReader(tableHead), failing{}))
	assert.Error(t, err, "it is no host without servers")
}

type failing struct{}

func (failing) Read([]byte) (int, error) { return 0, errors.New("no") }

func TestWhereConnectionsComeFrom(t *testing.T) {
	host := []netip.Addr{
		netip.MustParseAddr("10.0.0.7"), netip.MustParseAddr("10.0.1.7"),
		netip.MustParseAddr("2001:db8::7"), netip.MustParseAddr("2001:db8::8"), netip.MustParseAddr("2001:db8::9"),
	}
	var many []netip.AddrPort
	for port := range uint16(20) {
		many = append(many, netip.AddrPortFrom(netip.MustParseAddr("10.0.0.7"), 8000+port))
	}
	for name, tt := range map[string]struct {
		bound  []netip.AddrPort
		ofIPv4 map[uint16]bool
		want   []string
	}{
		"as_bound": {
			[]netip.AddrPort{netip.MustParseAddrPort("10.0.0.7:80"), netip.MustParseAddrPort("[2001:db8::7]:81")}, nil,
			[]string{"10.0.0.7:80", "[2001:db8::7]:81"},
		},
		"all_of_ipv4": {
			[]netip.AddrPort{netip.MustParseAddrPort("0.0.0.0:80")}, nil,
			[]string{"10.0.0.7:80", "10.0.1.7:80", "127.0.0.1:80"},
		},
		"all_of_both_is_told_by_four_of_the_host": {
			[]netip.AddrPort{netip.MustParseAddrPort("[::]:80")}, nil,
			[]string{"10.0.0.7:80", "10.0.1.7:80", "127.0.0.1:80", "[2001:db8::7]:80", "[2001:db8::8]:80"},
		},
		"ipv4_is_of_another_socket": {
			[]netip.AddrPort{netip.MustParseAddrPort("[::]:80")}, map[uint16]bool{80: true},
			[]string{"[2001:db8::7]:80", "[2001:db8::8]:80", "[2001:db8::9]:80", "[::1]:80"},
		},
		"twice_the_same": {
			[]netip.AddrPort{netip.MustParseAddrPort("0.0.0.0:80"), netip.MustParseAddrPort("127.0.0.1:80")}, nil,
			[]string{"10.0.0.7:80", "10.0.1.7:80", "127.0.0.1:80"},
		},
		"lowest_ports_of_many": {many, nil, []string{
			"10.0.0.7:8000", "10.0.0.7:8001", "10.0.0.7:8002", "10.0.0.7:8003", "10.0.0.7:8004", "10.0.0.7:8005",
			"10.0.0.7:8006", "10.0.0.7:8007", "10.0.0.7:8008", "10.0.0.7:8009", "10.0.0.7:8010", "10.0.0.7:8011",
			"10.0.0.7:8012", "10.0.0.7:8013", "10.0.0.7:8014", "10.0.0.7:8015",
		}},
	} {
		t.Run(name, func(t *testing.T) { assert.Equal(t, tt.want, reach(tt.bound, host, tt.ofIPv4)) })
	}
}

func TestAddressesOfTheHostAreReachable(t *testing.T) {
	for _, ip := range hostAddresses() {
		assert.False(t, ip.IsLoopback() || ip.IsUnspecified() || ip.IsLinkLocalUnicast(), "%v", ip)
	}
}

func FuzzListeners(f *testing.F) {
	f.Add([]byte(tableHead + connection))
	f.Add([]byte("   0: B80D0120000000000000000001000000:1F90 0:0 0A 0:0 0:0 0 0 0 22 1"))
	f.Fuzz(func(t *testing.T, table []byte) {
		got, err := parseListeners(strings.NewReader(string(table)))
		if err != nil {
			t.Fatal(err)
		}
		for _, l := range got {
			if l.inode == 0 || l.at.Port() == 0 || !l.at.IsValid() || l.at.Addr().Is4In6() {
				t.Fatalf("%+v", l)
			}
		}
	})
}

func FuzzSocketInode(f *testing.F) {
	f.Add([]byte("socket:[12]"))
	f.Add([]byte("pipe:[12]"))
	f.Fuzz(func(t *testing.T, link []byte) {
		n, ok := socketInode(link)
		if !ok {
			return
		}
		if again, ok := socketInode(fmt.Appendf(nil, "socket:[%d]", n)); !ok || again != n {
			t.Fatalf("%q is read as %d, and that as %d", link, n, again)
		}
	})
}
