//go:build !unix

package main

// withoutCoreDump does nothing: there are no core dumps.
func withoutCoreDump() {}
