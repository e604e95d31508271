package memcached

import (
	"sync"
)

// tuning holds the settings that admin commands change and that only stats
// settings and the forms of later replies depend on.
type tuning struct {
	mu sync.Mutex // guards all

	automove       int
	automoveRatio  float64
	automoveWindow uint64
	freeRatio      float64
	crawler        bool
	crawlerSleep   uint64
	crawlerToCrawl uint64
	segmented      bool
	hot, warm      uint64
	hotFactor      float64
	warmFactor     float64
	tempTTL        int64 // negative is off
	crawled        uint64
	crawling       int // crawls and dumps under way
}

// maxCrawls bounds the crawls and dumps that run at a time.
const maxCrawls = 16

func (u *tuning) init(o Options) {
	r := o.Report
	u.automove = max(0, r.SlabAutomove)
	u.automoveRatio, u.automoveWindow = r.SlabAutomoveRatio, uint64(r.SlabAutomoveWindow)
	u.freeRatio = r.SlabFreeRatio
	u.crawler = !r.NoCrawler
	u.crawlerSleep, u.crawlerToCrawl = uint64(r.CrawlerSleep), uint64(r.CrawlerToCrawl)
	u.segmented = !r.FlatLRU
	u.hot, u.warm = uint64(r.HotPct), uint64(r.WarmPct)
	u.hotFactor, u.warmFactor = r.HotFactor, r.WarmFactor
	u.tempTTL = -1
	if r.TempTTL > 0 {
		u.tempTTL = int64(r.TempTTL)
	}
}

// crawls reports whether the crawler is enabled.
func (u *tuning) crawls() bool {
	u.mu.Lock()
	defer u.mu.Unlock()
	return u.crawler
}

// beginCrawl reserves a crawl or dump; endCrawl gives it back.
func (u *tuning) beginCrawl() bool {
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.crawling >= maxCrawls {
		return false
	}
	u.crawling++
	u.crawled++
	return true
}

func (u *tuning) endCrawl() {
	u.mu.Lock()
	u.crawling--
	u.mu.Unlock()
}
