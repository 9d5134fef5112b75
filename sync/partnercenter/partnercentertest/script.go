package partnercentertest

import (
	"cmp"
	"slices"
	"time"
)

// Step is a state that a batch enters.
type Step struct {
	After        time.Duration // since the batch's Created
	Status       string        // "" is omitted from the answer
	DevicesCount int           // from this step to the next; 0: as in [Batch]
	Gone         bool          // the list lacks the batch, and its devices are not found
}

// DeviceStep is a state that a device enters.
type DeviceStep struct {
	After    time.Duration      // since the device's Uploaded
	Policies []PolicyAssignment // nil: as in [Device]
	Gone     bool               // the list lacks the device
}

// Lifecycle returns the script of a batch that is queued and processing for the given times, and then finished or
// finished_with_errors.
func Lifecycle(queued, processing time.Duration, withErrors bool) []Step {
	return []Step{
		{Status: "queued"},
		{After: queued, Status: "processing"},
		{After: queued + processing, Status: finished(withErrors)},
	}
}

// finished returns the final status.
func finished(withErrors bool) string {
	if withErrors {
		return "finished_with_errors"
	}
	return "finished"
}

// scripted is a step of either kind.
type scripted interface{ after() time.Duration }

func (s Step) after() time.Duration       { return s.After }
func (s DeviceStep) after() time.Duration { return s.After }

// inOrder returns a sorted copy of a script.
func inOrder[S scripted](script []S) []S {
	script = slices.Clone(script)
	slices.SortStableFunc(script, func(x, y S) int { return cmp.Compare(x.after(), y.after()) })
	return script
}

// holding returns the index of the step in effect at a time, -1 before the first, and when the next one begins,
// zero for never.
func holding[S scripted](script []S, since, now time.Time) (i int, next time.Time) {
	for i, step := range script {
		if due := since.Add(step.after()); due.After(now) {
			return i - 1, due
		}
	}
	return len(script) - 1, time.Time{}
}
