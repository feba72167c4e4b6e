package llm

import (
	"context"
	"net"
)

// DialBy makes a client reach every server by a function of the test's.
func DialBy(c *Client, dial func(ctx context.Context, network, addr string) (net.Conn, error)) {
	c.http.base.DialContext = dial
}
