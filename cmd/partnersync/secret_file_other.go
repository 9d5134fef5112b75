//go:build !unix

package main

// exposure is what exposed says of the file at the path: nothing, since modes mean nothing here.
func exposure(string) string { return "" }
