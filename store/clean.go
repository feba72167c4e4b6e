package store

import "regexp"

// userInfo is the user name and password in an address.
var userInfo = regexp.MustCompile(`(://)[^/@\s"'?#]+@`)

// clean takes user names and passwords out of the addresses in a text that the
// program made. Texts of people and models are stored as they are.
func clean(s string) string { return userInfo.ReplaceAllString(s, "$1") }
