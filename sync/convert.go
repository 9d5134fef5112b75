package sync

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"

	"partnersync/store"
	"partnersync/store/sanitize"
	"partnersync/sync/partnercenter"
)

// rows are the converted items of a listing. Of items with the same id, the last one counts.
type rows[R any] struct {
	all        []R
	at         map[string]int // position of each key
	duplicates int
	altered    int // ids that are not stored as they were received
}

func (r *rows[R]) add(key string, altered bool, row R) {
	if altered {
		r.altered++
	}
	if i, ok := r.at[key]; ok {
		r.duplicates++
		r.all[i] = row
		return
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
		Extra:        string(b.Extra), // the client has seen to it that PostgreSQL accepts it
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
		Policies:            policiesJSON(d.Policies),
		Extra:               string(d.Extra),
	})
}

// policiesJSON returns a device's policies as a JSON array, ordered as the client has them: by key and then by value.
// It is "" for none.
func policiesJSON(policies []partnercenter.PolicyAssignment) string {
	type policy struct {
		Key   string  `json:"key"`
		Value *string `json:"value"`
	}
	if len(policies) == 0 {
		return ""
	}
	all := make([]policy, len(policies))
	for i, p := range policies {
		all[i] = policy(p)
	}
	array, err := json.Marshal(all)
	if err != nil {
		panic(err) // strings can always be marshaled
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
	key = sanitize.ForStorage(id)
	if len(key) > maxKey {
		sum := sha256.Sum256([]byte(id))
		key = sanitize.Shorten(key, keptOfKey) + hex.EncodeToString(sum[:])
	}
	return key, key != id
}
