package learn

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
)

// linuxWatch asks the kernel for the peer's end of a TCP connection (sock_diag(7)) and /proc for the
// processes that hold it.
type linuxWatch struct {
	fd      int
	request []byte
	inode   uint32
	holders []int // processes
}

// Parts of linux/netlink.h, linux/sock_diag.h, linux/inet_diag.h and linux/tcp.h.
const (
	netlinkSockDiag   = 4
	sockDiagByFamily  = 20
	inetDiagInfo      = 2
	netlinkHeader     = 16
	diagRequest       = 56
	diagMessage       = 72 // inet_diag_msg
	offsetState       = 1  // idiag_state
	established       = 1
	offsetUnread      = 56 // idiag_rqueue
	offsetInode       = 68
	offsetBytesIn     = 128 // tcpi_bytes_received
	offsetNotSent     = 144 // tcpi_notsent_bytes
	offsetBytesOut    = 200 // tcpi_bytes_sent
	offsetBytesResent = 208 // tcpi_bytes_retrans
	sizeInfo          = 216
)

// newWatch watches the peer of a connection; nil: it is not a process on this machine that can be seen, or
// it is this process.
func newWatch(c net.Conn) watch {
	peer, ok := loopback(c.RemoteAddr())
	own, okOwn := loopback(c.LocalAddr())
	if !ok || !okOwn {
		return nil
	}
	fd, err := syscall.Socket(syscall.AF_NETLINK, syscall.SOCK_DGRAM|syscall.SOCK_CLOEXEC, netlinkSockDiag)
	if err != nil {
		return nil
	}
	timeout := syscall.Timeval{Sec: 1}
	if err := syscall.SetsockoptTimeval(fd, syscall.SOL_SOCKET, syscall.SO_RCVTIMEO, &timeout); err != nil {
		_ = syscall.Close(fd)
		return nil
	}
	w := &linuxWatch{fd: fd, request: question(peer, own)}
	if _, ok := w.socket(); !ok { // the connection is there: it cannot be asked for
		w.close()
		return nil
	}
	return w
}

// loopback is the address of an end on this machine.
func loopback(a net.Addr) (netip.AddrPort, bool) {
	t, ok := a.(*net.TCPAddr)
	if !ok {
		return netip.AddrPort{}, false
	}
	at := t.AddrPort()
	at = netip.AddrPortFrom(at.Addr().Unmap(), at.Port())
	return at, at.Addr().IsLoopback()
}

// question asks for the socket of a connection, as its owner sees it.
func question(at, peer netip.AddrPort) []byte {
	b := make([]byte, netlinkHeader+diagRequest)
	binary.NativeEndian.PutUint32(b, uint32(len(b)))
	binary.NativeEndian.PutUint16(b[4:], sockDiagByFamily)
	binary.NativeEndian.PutUint16(b[6:], syscall.NLM_F_REQUEST)
	q := b[netlinkHeader:]
	q[0], q[1], q[2] = syscall.AF_INET, syscall.IPPROTO_TCP, 1<<(inetDiagInfo-1)
	if at.Addr().Is6() {
		q[0] = syscall.AF_INET6
	}
	binary.NativeEndian.PutUint32(q[4:], ^uint32(0)) // any state
	binary.BigEndian.PutUint16(q[8:], at.Port())
	binary.BigEndian.PutUint16(q[10:], peer.Port())
	copy(q[12:28], at.Addr().AsSlice())
	copy(q[28:44], peer.Addr().AsSlice())
	binary.NativeEndian.PutUint64(q[48:], ^uint64(0)) // any cookie
	return b
}

// socket returns what the kernel says of the peer's end: inet_diag_msg and its attributes.
func (w *linuxWatch) socket() ([]byte, bool) {
	if err := syscall.Sendto(w.fd, w.request, 0, &syscall.SockaddrNetlink{Family: syscall.AF_NETLINK}); err != nil {
		return nil, false
	}
	b := make([]byte, 4096)
	n, _, err := syscall.Recvfrom(w.fd, b, 0)
	if err != nil || n < netlinkHeader+diagMessage || binary.NativeEndian.Uint16(b[4:]) != sockDiagByFamily {
		return nil, false
	}
	return b[netlinkHeader:n], true
}

// tcpInfo finds struct tcp_info among the attributes.
func tcpInfo(b []byte) []byte {
	for b = b[diagMessage:]; len(b) >= 4; {
		n := int(binary.NativeEndian.Uint16(b))
		if n < 4 || n > len(b) {
			return nil
		}
		if binary.NativeEndian.Uint16(b[2:]) == inetDiagInfo && n-4 >= sizeInfo {
			return b[4:n]
		}
		b = b[min((n+3)&^3, len(b)):]
	}
	return nil
}

func (w *linuxWatch) idle(sent, received uint64) (idle, known bool) {
	b, ok := w.socket()
	if !ok {
		return false, true // it is closed, which is read soon
	}
	if w.inode = binary.NativeEndian.Uint32(b[offsetInode:]); w.inode == 0 {
		return false, true // it is not accepted yet
	}
	if !w.find() || slices.Contains(w.holders, os.Getpid()) {
		return false, false
	}
	info := tcpInfo(b)
	if info == nil {
		return false, false
	}
	if binary.NativeEndian.Uint32(b[offsetUnread:]) != 0 || binary.NativeEndian.Uint64(info[offsetBytesIn:]) < sent {
		return false, true
	}
	if b[offsetState] != established {
		return false, true // the end of the connection is on its way
	}
	before := w.sleep()
	if before == "" {
		return false, true
	}
	if b, ok = w.socket(); !ok {
		return false, true
	}
	if info = tcpInfo(b); info == nil || b[offsetState] != established ||
		binary.NativeEndian.Uint32(info[offsetNotSent:]) != 0 ||
		binary.NativeEndian.Uint64(info[offsetBytesOut:])-binary.NativeEndian.Uint64(info[offsetBytesResent:]) != received {
		return false, true
	}
	return w.sleep() == before, true
}

// sleep describes the threads of the holders while all of them sleep; otherwise it is empty. Two
// descriptions are the same if none has run in between.
func (w *linuxWatch) sleep() string {
	var all strings.Builder
	for _, pid := range w.holders {
		list, err := os.ReadDir(fmt.Sprintf("/proc/%d/task", pid))
		if err != nil {
			return ""
		}
		for _, task := range list {
			b, err := os.ReadFile(fmt.Sprintf("/proc/%d/task/%s/status", pid, task.Name()))
			if err != nil {
				return ""
			}
			for line := range bytes.Lines(b) {
				key, value, _ := bytes.Cut(line, []byte(":"))
				switch string(key) {
				case "State":
					if value = bytes.TrimSpace(value); len(value) == 0 || !bytes.Contains([]byte("STt"), value[:1]) {
						return ""
					}
				case "voluntary_ctxt_switches", "nonvoluntary_ctxt_switches":
					fmt.Fprintf(&all, "%s %s", task.Name(), value)
				}
			}
		}
	}
	return all.String()
}

// lately are the processes that held a peer's end of a connection lately: they are looked at first.
var lately struct {
	sync.Mutex
	pids []int
}

// find looks for the processes that hold the socket. The ones that were found have to hold it
// still: a server may hand it to a child.
func (w *linuxWatch) find() bool {
	name := fmt.Sprintf("socket:[%d]", w.inode)
	if len(w.holders) > 0 && holds(w.holders[0], name) {
		return true
	}
	w.holders = nil
	lately.Lock()
	first := slices.Clone(lately.pids)
	lately.Unlock()
	for _, pid := range first {
		if holds(pid, name) {
			w.holders = append(w.holders, pid)
		}
	}
	if len(w.holders) > 0 {
		return true
	}
	list, err := os.ReadDir("/proc")
	if err != nil {
		return false
	}
	for _, x := range list {
		if pid, err := strconv.Atoi(x.Name()); err == nil && holds(pid, name) {
			w.holders = append(w.holders, pid)
		}
	}
	const kept = 16
	lately.Lock()
	lately.pids = append(slices.Clone(w.holders), lately.pids...)
	lately.pids = lately.pids[:min(kept, len(lately.pids))]
	lately.Unlock()
	return len(w.holders) > 0
}

func holds(pid int, name string) bool {
	files := filepath.Join("/proc", strconv.Itoa(pid), "fd")
	list, err := os.ReadDir(files)
	if err != nil {
		return false
	}
	return slices.ContainsFunc(list, func(x os.DirEntry) bool {
		to, err := os.Readlink(filepath.Join(files, x.Name()))
		return err == nil && to == name
	})
}

func (w *linuxWatch) close() { _ = syscall.Close(w.fd) }
