package partnercenter

import "sync"

// buffers keeps the memory of bodies that nobody needs any more: those of unchanged lists, and so of nearly all.
type buffers struct{ pool sync.Pool }

// mostKept is the size in bytes up to which a buffer is kept.
const mostKept = 1 << 20

// get returns a buffer of any size, maybe nil.
func (b *buffers) get() []byte {
	if kept, ok := b.pool.Get().(*[]byte); ok {
		return *kept
	}
	return nil
}

// put takes back the buffer of a body to which nothing refers any more.
func (b *buffers) put(body []byte) {
	if cap(body) <= mostKept {
		b.pool.Put(&body)
	}
}
