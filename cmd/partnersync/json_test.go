package main

import (
	"maps"
	"os"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// jsonShape returns the names that encoding/json gives the leaves of a type, as deploy/json.md writes them, and their
// types.
func jsonShape(t reflect.Type, prefix string, into map[string]string) {
	switch {
	case t == reflect.TypeFor[time.Time]():
		into[prefix] = "time"
	case t.Kind() == reflect.Pointer:
		jsonShape(t.Elem(), prefix, into)
	case t.Kind() == reflect.Slice:
		jsonShape(t.Elem(), prefix+"[]", into)
	case t.Kind() == reflect.Struct:
		for field := range t.Fields() {
			name, options, _ := strings.Cut(field.Tag.Get("json"), ",")
			if name == "-" || !field.IsExported() {
				continue
			}
			path := strings.TrimPrefix(prefix+"."+name, ".")
			below := map[string]string{}
			jsonShape(field.Type, path, below)
			for leaf, kind := range below {
				switch {
				case leaf != path && leaf != path+"[]":
				case strings.HasPrefix(options, "omit"):
					kind += ", absent"
				case field.Type.Kind() == reflect.Pointer:
					kind += ", null"
				}
				into[leaf] = kind
			}
		}
	case t.Kind() == reflect.String:
		into[prefix] = "string"
	case t.Kind() == reflect.Bool:
		into[prefix] = "boolean"
	default:
		into[prefix] = "integer"
	}
}

var documentedName = regexp.MustCompile("(?m)^\\| `([^`]+)` \\| ([^|]+?) \\|")

// TestJSON_isAsDocumented compares what is printed with deploy/json.md, which is a contract.
func TestJSON_isAsDocumented(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile("../../deploy/json.md")
	if err != nil {
		t.Fatal(err)
	}
	chapters := strings.Split(string(text), "\n## ")[1:]
	snakeCase := regexp.MustCompile(`^[a-z_]+(\[\])?(\.[a-z_]+(\[\])?)*$`)
	for i, printed := range []reflect.Type{reflect.TypeFor[summary](), reflect.TypeFor[checkup](),
		reflect.TypeFor[statusReport]()} {
		title, _, _ := strings.Cut(chapters[i], "\n")
		documented, shape := map[string]string{}, map[string]string{}
		for _, match := range documentedName.FindAllStringSubmatch(chapters[i], -1) {
			documented[match[1]] = match[2]
		}
		jsonShape(printed, "", shape)
		if diff := cmp.Diff(shape, documented); diff != "" {
			t.Errorf("%s: (-printed +documented)\n%s", title, diff)
		}
		for _, name := range slices.Sorted(maps.Keys(shape)) {
			if !snakeCase.MatchString(name) {
				t.Errorf("%s: %s is no snake case", title, name)
			}
		}
	}
}
