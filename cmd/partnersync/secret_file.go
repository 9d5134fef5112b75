package main

import (
	"io/fs"
	"path/filepath"
	"slices"
	"strings"
)

const (
	byGroup  fs.FileMode = 0o040
	byOthers fs.FileMode = 0o004
)

// exposed says who may read a secret file beside its owner, and what to do about it; "" if it is well kept. mode is the
// file's own, behind any link; ours is whether this process's user owns it.
//
// The group's right is meant so where the file is another user's, such as root's: it is how the program reads it. And
// what Kubernetes mounts is readable by all, since it cannot know the user, but there is nobody else in a container.
func exposed(path string, mode fs.FileMode, ours bool) string {
	const way = "chmod 600, or 640 with a group of partnersync's alone"
	switch {
	case mode&(byGroup|byOthers) == 0, ofKubernetes(path):
		return ""
	case mode&byOthers != 0 && ours:
		return "can be read by every user of this machine; take that away with chmod 600"
	case mode&byOthers != 0:
		return "can be read by every user of this machine; let its owner take that away: " + way
	case ours:
		return "can be read by its group; take that away with chmod 600"
	}
	return ""
}

// ofKubernetes reports whether a file is in a volume that the kubelet fills: its files are links to
// ..data/NAME, and that is a link to a directory named after the time, such as ..2026_01_31_18_00_00.123456789.
func ofKubernetes(path string) bool {
	target, err := filepath.EvalSymlinks(path)
	if err != nil {
		return false
	}
	return slices.ContainsFunc(strings.Split(filepath.Dir(target), string(filepath.Separator)), func(name string) bool {
		return strings.HasPrefix(name, "..2")
	})
}
