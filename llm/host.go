package llm

import (
	"fmt"
	"net"
	"net/url"
	"os"
	"regexp"
	"strconv"
	"strings"
)

// ollamaPort is where Ollama listens by default.
const ollamaPort = "11434"

// ParseHost reads a server's address as Ollama reads OLLAMA_HOST: a host, a
// host and port, or a URL; the port defaults to 11434, in a URL to that of its
// scheme; "" is 127.0.0.1:11434. In addition a URL may hold a user name and a
// password, for servers behind a proxy that asks for them. Errors do not
// repeat the address, as it may hold a password.
func ParseHost(s string) (*url.URL, error) {
	s = strings.Trim(strings.TrimSpace(s), "\"'")
	scheme, rest, ok := strings.Cut(s, "://")
	port := ollamaPort
	switch {
	case !ok:
		scheme, rest = "http", s
		if s == "ollama.com" {
			scheme, rest = "https", "ollama.com:443"
		}
	case strings.EqualFold(scheme, "http"):
		scheme, port = "http", "80"
	case strings.EqualFold(scheme, "https"):
		scheme, port = "https", "443"
	default:
		return nil, fmt.Errorf("server address: scheme %q is not http or https", scheme)
	}
	u := &url.URL{Scheme: scheme}
	hostport, path, _ := strings.Cut(rest, "/")
	if path != "" {
		u.Path = "/" + strings.Trim(path, "/")
	}
	if i := strings.LastIndex(hostport, "@"); i >= 0 {
		name, password, has := strings.Cut(hostport[:i], ":")
		u.User = url.User(unescape(name))
		if has {
			u.User = url.UserPassword(unescape(name), unescape(password))
		}
		hostport = hostport[i+1:]
	}
	host, p, err := net.SplitHostPort(hostport)
	if err != nil {
		host, p = strings.Trim(hostport, "[]"), port
	}
	if host == "" {
		host = "127.0.0.1"
	}
	if p == "" {
		p = port
	}
	// Ollama takes its default for a port that is none; nobody means that.
	if _, err := strconv.ParseUint(p, 10, 16); err != nil {
		return nil, fmt.Errorf("server address: port %q is not a number from 0 to 65535", p)
	}
	if isIPv6(host) {
		host = strings.Replace(host, "%25", "%", 1) // a zone, as URLs write it
	}
	if !plainHost.MatchString(host) && !isIPv6(host) {
		return nil, fmt.Errorf("server address: %q is not a host", host)
	}
	u.Host = net.JoinHostPort(host, p)
	return u, nil
}

// plainHost is a name, an IPv4 address or the zone of an IPv6 one; names in other scripts are to be given
// in their ASCII form.
var plainHost = regexp.MustCompile(`^[A-Za-z0-9._-]+$`)

func isIPv6(host string) bool {
	ip, z, zoned := strings.Cut(host, "%")
	return net.ParseIP(ip) != nil && (!zoned || plainHost.MatchString(z))
}

func unescape(s string) string {
	if t, err := url.PathUnescape(s); err == nil {
		return t
	}
	return s
}

// hosts reads the addresses of a configuration; without any it is OLLAMA_HOST.
func hosts(names []string) ([]*url.URL, error) {
	if len(names) == 0 {
		names = []string{os.Getenv("OLLAMA_HOST")}
	}
	var out []*url.URL
	for _, n := range names {
		u, err := ParseHost(n)
		if err != nil {
			return nil, err
		}
		out = append(out, u)
	}
	return out, nil
}

// Redact gives a URL to print or to store: without user name, password, query
// and fragment, any of which may hold a secret.
func Redact(u *url.URL) string {
	return (&url.URL{Scheme: u.Scheme, Host: u.Host, Path: strings.TrimRight(u.Path, "/")}).String()
}
