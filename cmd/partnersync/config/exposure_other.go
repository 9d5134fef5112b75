//go:build !unix

package config

// Exposure says who can read the secret file at the path besides its owner: always "", since modes mean nothing here.
func Exposure(string) string { return "" }
