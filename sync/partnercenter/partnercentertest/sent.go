package partnercentertest

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
)

// sentDevice is a device as requests have it. Names of members are taken in any case: Microsoft's SDKs send PascalCase,
// others camelCase.
type sentDevice struct {
	ID                  string
	SerialNumber        string
	ProductKey          string
	HardwareHash        string
	ModelName           string
	OEMManufacturerName string
	Policies            []PolicyAssignment
}

// readBody reads the body of a request, which may begin with a byte order mark as answers do.
func readBody(r *http.Request) ([]byte, error) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return nil, fmt.Errorf("reading the body: %w", err)
	}
	return bytes.TrimPrefix(body, []byte(bom)), nil
}

// decode sets in v what the body has, and says whether it could.
func decode(body []byte, v any) bool { return json.Unmarshal(body, v) == nil }

// identity is one of the things by which a device is known; the other fields are "".
type identity struct {
	hash, key            string
	serial, maker, model string
}

// identities returns what a device is known by. "Upload a list of devices to create a new batch for the specified
// customer" takes each alone, with case.
func (d *sentDevice) identities() []identity {
	var ids []identity
	if d.HardwareHash != "" {
		ids = append(ids, identity{hash: d.HardwareHash})
	}
	if d.ProductKey != "" {
		ids = append(ids, identity{key: d.ProductKey})
	}
	if d.SerialNumber != "" && d.OEMManufacturerName != "" && d.ModelName != "" {
		ids = append(ids, identity{serial: d.SerialNumber, maker: d.OEMManufacturerName, model: d.ModelName})
	}
	return ids
}

func (d *device) identities() []identity {
	sent := d.sent()
	return sent.identities()
}

// identifiable says whether all of the devices are known by something.
func identifiable(ds []sentDevice) bool {
	for i := range ds {
		if len(ds[i].identities()) == 0 {
			return false
		}
	}
	return len(ds) > 0
}

// sent returns the device as a request would have it, but for its policies.
func (d *device) sent() sentDevice {
	return sentDevice{
		ID: d.ID, SerialNumber: d.SerialNumber, ProductKey: d.ProductKey, HardwareHash: d.hash,
		ModelName: d.ModelName, OEMManufacturerName: d.OEMManufacturerName,
	}
}

// applyTo makes the device what was sent, but for its id and policies. A hardware hash is kept and not served, as none is
// in any documented answer.
func (s *sentDevice) applyTo(d *device) {
	d.SerialNumber, d.ProductKey, d.hash = s.SerialNumber, s.ProductKey, s.HardwareHash
	d.ModelName, d.OEMManufacturerName = s.ModelName, s.OEMManufacturerName
}
