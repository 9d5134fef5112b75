package statuspage

import (
	"fmt"
	"slices"
	"time"

	"partnersync/store/report"
)

// strip shows a partner's passes of the last day, with a mark for each slot of time.
type strip struct {
	Partner   string
	Marks     []mark
	Summary   string
	Wrong     []wrongSlot // the newest slots with passes that went wrong, the newest first
	MoreWrong int         // how many there are besides those
	Since     time.Time
}

// mark shows a slot, whether or not it had passes.
type mark struct {
	X      int // column, from 0 on
	Class  string
	Height int // of markHeight; each class has its own
	Title  string
}

// wrongSlot says in words which passes of a slot went wrong.
type wrongSlot struct {
	At    time.Time // its beginning
	Words string
}

const (
	markHeight = 40
	shownWrong = 5
)

// markHeights make the classes distinguishable without their colours: the worse, the higher.
var markHeights = map[string]int{
	"none": 4, "running": 10, "complete": 18, "abandoned": 26, "partial": 33, "failed": markHeight,
}

// Y is where the mark begins, from the top.
func (m mark) Y() int { return markHeight - m.Height }

// newStrips makes a strip for each partner. The slots are sorted by partner.
func newStrips(slots []report.PassSlot, since time.Time) (strips []strip) {
	for len(slots) > 0 {
		n := slices.IndexFunc(slots, func(p report.PassSlot) bool { return p.Partner != slots[0].Partner })
		if n < 0 {
			n = len(slots)
		}
		strips = append(strips, newStrip(slots[:n], since))
		slots = slots[n:]
	}
	return strips
}

func newStrip(slots []report.PassSlot, since time.Time) strip {
	s := strip{Partner: slots[0].Partner, Since: since, Marks: make([]mark, stripSlots)}
	for i := range s.Marks {
		s.Marks[i] = newMark(i, "none", "")
	}
	total := report.PassSlot{}
	for _, p := range slots {
		total.Passes += p.Passes
		total.Partial += p.Partial
		total.Failed += p.Failed
		total.Abandoned += p.Abandoned
		total.Running += p.Running
		if p.Slot >= 0 && p.Slot < stripSlots {
			from := since.Add(time.Duration(p.Slot) * stripSlot).UTC()
			s.Marks[p.Slot] = newMark(p.Slot, passClass(p), from.Format("15:04 UTC")+": "+passWords(p))
			if wrong := states(0, p.Partial, p.Failed, p.Abandoned, 0); len(wrong) > 0 {
				s.Wrong = append(s.Wrong, wrongSlot{from, list(wrong)})
			}
		}
	}
	s.Summary = passWords(total)
	slices.Reverse(s.Wrong)
	s.MoreWrong = max(0, len(s.Wrong)-shownWrong)
	s.Wrong = s.Wrong[:len(s.Wrong)-s.MoreWrong]
	return s
}

func newMark(slot int, class, title string) mark {
	return mark{X: slot, Class: class, Height: markHeights[class], Title: title}
}

// passClass is the worst of what happened in a slot.
func passClass(p report.PassSlot) string {
	switch {
	case p.Failed > 0:
		return "failed"
	case p.Partial > 0:
		return "partial"
	case p.Abandoned > 0:
		return "abandoned"
	case p.Running == p.Passes:
		return "running"
	}
	return "complete"
}

func passWords(p report.PassSlot) string {
	complete := p.Passes - p.Partial - p.Failed - p.Abandoned - p.Running
	return counted(p.Passes, "pass: ", "passes: ") + list(states(complete, p.Partial, p.Failed, p.Abandoned, p.Running))
}

// states says how many passes of each state there are.
func states(complete, partial, failed, abandoned, running int) (words []string) {
	for _, w := range []struct {
		n    int
		word string
	}{
		{complete, "complete"}, {partial, "partial"}, {failed, "failed"}, {abandoned, "abandoned"}, {running, "running"},
	} {
		if w.n > 0 {
			words = append(words, fmt.Sprintf("%s %s", count(int64(w.n)), w.word))
		}
	}
	return words
}
