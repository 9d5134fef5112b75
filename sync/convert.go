package sync

import (
	"crypto/sha256"
	"encoding/hex"
	"strings"
	"unicode/utf8"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"partnersync/store"
	"partnersync/sync/partnercenter"
)

// rows are the converted items of a listing. An id that comes again replaces the row it had.
type rows[R any] struct {
	all        []R
	at         map[string]int // position of each key
	duplicates int
	altered    int // ids that are stored otherwise than they were received
}

// expect makes room for so many rows.
func (r *rows[R]) expect(n int) { r.all, r.at = make([]R, 0, n), make(map[string]int, n) }

func (r *rows[R]) add(key string, altered bool, row R) {
	if altered {
		r.altered++
	}
	if i, ok := r.at[key]; ok {
		r.duplicates++
		r.all[i] = row
		return
	}
	if r.at == nil {
		r.at = map[string]int{}
	}
	r.at[key] = len(r.all)
	r.all = append(r.all, row)
}

// addBatch converts a device batch.
func addBatch(r *rows[store.DeviceBatch], b partnercenter.DeviceBatch) {
	key, altered := storedID(b.ID)
	receivedID := ""
	if altered {
		receivedID = b.ID
	}
	r.add(key, altered, store.DeviceBatch{
		BatchID:      key,
		ReceivedID:   receivedID,
		Status:       b.Status,
		CreatedBy:    b.CreatedBy,
		CreationDate: b.CreationDate,
		DevicesCount: b.DevicesCount,
		Extra:        string(b.Extra), // the client has seen to it that PostgreSQL takes it
	})
}

// addDevice converts a device.
func addDevice(r *rows[store.Device], d partnercenter.Device) {
	key, altered := storedID(d.ID)
	r.add(key, altered, store.Device{
		DeviceID:            key,
		SerialNumber:        d.SerialNumber,
		ProductKey:          d.ProductKey,
		HardwareHash:        d.HardwareHash,
		ModelName:           d.ModelName,
		OEMManufacturerName: d.OEMManufacturerName,
		UploadedBy:          d.UploadedBy,
		UploadedDate:        d.UploadedDate,
		Policies:            assignments(d.Policies),
		Extra:               string(d.Extra),
	})
}

// assignments returns a device's policies as a JSON array, ordered by key and then by value, and written as jsonb does; ""
// for none.
func assignments(policies []partnercenter.PolicyAssignment) string {
	type assignment struct {
		Key   string  `json:"key"`
		Value *string `json:"value"`
	}
	if len(policies) == 0 {
		return ""
	}
	all := make([]assignment, len(policies))
	for i, p := range policies {
		all[i] = assignment(p)
	}
	array, err := json.Marshal(all, jsontext.SpaceAfterColon(true), jsontext.SpaceAfterComma(true), jsontext.AllowInvalidUTF8(true))
	if err != nil {
		panic(err) // strings can be marshaled
	}
	return string(array)
}

// addPolicy converts a configuration policy.
func addPolicy(r *rows[store.ConfigurationPolicy], p partnercenter.ConfigurationPolicy) {
	key, altered := storedID(p.ID)
	r.add(key, altered, store.ConfigurationPolicy{
		PolicyID:             key,
		Name:                 p.Name,
		Category:             p.Category,
		Description:          p.Description,
		DevicesAssignedCount: p.DevicesAssignedCount,
		PolicySettings:       p.PolicySettings,
		CreatedDate:          p.CreatedDate,
		LastModifiedDate:     p.LastModifiedDate,
		Extra:                string(p.Extra),
	})
}

// An id is part of a primary key, and PostgreSQL's B-trees take no row beyond 2,704 bytes.
const (
	maxKey    = 1000 // bytes
	keptOfKey = 900
)

// storedID returns the id as it is stored, and whether that differs from how it was received.
func storedID(id string) (key string, altered bool) {
	key = clean(id)
	if len(key) > maxKey {
		sum := sha256.Sum256([]byte(id))
		cut := keptOfKey
		for !utf8.RuneStart(key[cut]) {
			cut--
		}
		key = key[:cut] + "…" + hex.EncodeToString(sum[:])
	}
	return key, key != id
}

// clean replaces what PostgreSQL's text cannot hold.
func clean(s string) string {
	if utf8.ValidString(s) && strings.IndexByte(s, 0) < 0 {
		return s
	}
	return strings.ToValidUTF8(strings.ReplaceAll(s, "\x00", "\uFFFD"), "\uFFFD")
}
