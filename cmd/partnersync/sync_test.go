package main

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"partnersync/store"
	"partnersync/sync"
)

func TestSyncFlags_namesCountOnce(t *testing.T) {
	t.Parallel()
	const id, upper = "47021739-3426-40bf-9601-61b4b6d7c793", "47021739-3426-40BF-9601-61B4B6D7C793"
	const braced, second = "{" + id + "}", "b44bb1fb-c595-45b0-9e09-d657365580bf"
	tests := []struct {
		name                string
		partners, customers []string
		want                sync.Request
	}{
		{"none, which means all", nil, nil, sync.Request{}},
		{"one of each", []string{"a"}, []string{id}, sync.Request{Partners: []string{"a"}, Customers: []string{id}}},
		{"partners", []string{"b", "a", "b"}, nil, sync.Request{Partners: []string{"a", "b"}}},
		{"partners' names are compared as they are", []string{"a", "A"}, nil,
			sync.Request{Partners: []string{"A", "a"}}},
		{"customers, however written", nil, []string{second, id, upper, braced},
			sync.Request{Customers: []string{id, second}}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			got, err := syncFlags{backfill: true, partners: tt.partners, customers: tt.customers}.request()
			if err != nil {
				t.Fatal(err)
			}
			tt.want.Kind = store.Backfill
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestSyncFlags_stayAsTheyAre(t *testing.T) {
	t.Parallel()
	given := []string{"b", "a", "b"}
	if _, err := (syncFlags{once: true, partners: given}).request(); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"b", "a", "b"}, given); diff != "" {
		t.Error(diff)
	}
}
