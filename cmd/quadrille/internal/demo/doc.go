// Package demo plays short stories on a running shop, and shows what happens as it happens.
//
// It promises: everything goes through HTTP, as customers and operators would do it; each story uses a product and a
// customer of its own, so that it can be played on any shop, again and again; what it breaks it mends, also when it is
// stopped; and it believes nothing: each story checks how it ended at the processor, the carrier and the shelf.
//
// The way of a story: stories_*.go say what is done and what must come of it; stage.go gives them hands; feed.go reads
// the events and the order from the shop's books and timeline.go puts them in order; text.go and json.go show them.
package demo
