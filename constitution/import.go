package constitution

import "errors"

// Import makes a constitution of another tool's principles.
func Import(name string, data []byte) (*Constitution, []string, error) {
	return nil, nil, errors.New("not yet")
}
