package demo

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/google/uuid"
	"github.com/quadrille-dev/quadrille/verify/stackclient"
)

// stage is where one story plays: what it has done so far, and the hands to do more.
type stage struct {
	client   *client
	rows     *timeline
	patience time.Duration

	req    stackclient.OrderRequest
	key    string          // the idempotency key of its one order
	goods  map[string]good // on the shelf, by sku
	sku    string          // the one that the ending looks at
	faults []*fault
	feed   *feed
	stop   func() // ends the feed
}

// good is a product of the story's own.
type good struct {
	name  string // as in 2 × name
	units int    // before it was ordered
}

// What one piece of every product costs.
const (
	price    = 1999
	currency = "EUR"
)

// request is a good order: a card that pays, an address that exists.
func (s *stage) request(quantity int) stackclient.OrderRequest {
	return stackclient.GoodOrder("demo-"+uuid.NewString(), stackclient.Item{SKU: s.sku, Quantity: quantity})
}

// stock puts a new product on the shelf and waits until it can be ordered. The first one is looked at in the end.
func (s *stage) stock(ctx context.Context, name string, units int) (sku string, err error) {
	sku = strings.ReplaceAll(strings.ToLower(name), " ", "-") + "-" + uuid.NewString()[:8]
	if err := s.client.PutOnShelf(ctx, sku, name, stackclient.Money{Amount: price, Currency: currency}, units); err != nil {
		return "", err
	}
	err = s.eventually(ctx, "the order service to hear of the product "+sku, func(ctx context.Context) (bool, string, error) {
		known, err := s.client.Orderable(ctx, sku)
		return known, "", err
	})
	if s.sku == "" {
		s.sku = sku
	}
	s.goods[sku] = good{strings.ToLower(name), units}
	return sku, err
}

// place orders, once, however often it has to ask, and starts to follow the order.
func (s *stage) place(ctx context.Context, req stackclient.OrderRequest) error {
	s.orders(req)
	var a stackclient.Answer
	err := s.eventually(ctx, "the order to be accepted", func(ctx context.Context) (_ bool, _ string, err error) {
		a, err = s.send(ctx)
		if stackclient.Passing(a, err) {
			return false, string(a.Body), err
		}
		return true, "", err
	})
	if err != nil {
		return err
	}
	return s.follow(ctx, a)
}

// orders says what the customer is about to order.
func (s *stage) orders(req stackclient.OrderRequest) {
	s.req, s.key = req, uuid.NewString()
	var items []string
	total := stackclient.Money{Amount: 0, Currency: currency}
	for _, i := range req.Items {
		total.Amount += int64(i.Quantity) * price
		items = append(items, fmt.Sprintf("%d × %s", i.Quantity, s.goods[i.SKU].name))
	}
	s.act("customer", "orders "+strings.Join(items, " and ")+", for "+total.String())
}

func (s *stage) send(ctx context.Context) (stackclient.Answer, error) {
	return s.client.Place(ctx, s.req, s.key)
}

// follow starts the feed with the answer to the order.
func (s *stage) follow(ctx context.Context, accepted stackclient.Answer) error {
	if accepted.Status != http.StatusAccepted {
		return &stackclient.StatusError{Call: "POST /api/v1/orders", Answer: accepted}
	}
	var o stackclient.Order
	if err := json.Unmarshal(accepted.Body, &o); err != nil {
		return fmt.Errorf("POST /api/v1/orders: %w", err)
	}
	s.feed = newFeed(s.client, s.rows, o, func(event string) string {
		return strings.ReplaceAll(meaning[event], "%s", o.Total.String())
	})
	ctx, cancel := context.WithCancel(ctx)
	ended := make(chan struct{})
	go func() {
		s.feed.run(ctx)
		close(ended)
	}()
	s.stop = func() {
		cancel()
		<-ended
	}
	return nil
}

func (s *stage) id() string {
	if s.feed == nil {
		return ""
	}
	return s.feed.id
}

// act is a row about something that was done from outside.
func (s *stage) act(who, what string) {
	s.rows.add(Row{Kind: KindAction, At: time.Now(), Who: who, What: what})
	if s.feed == nil {
		s.rows.flush(time.Now())
	}
}

// cancel asks until there is an answer, and tells it.
func (s *stage) cancel(ctx context.Context, want int) error {
	s.act("customer", "asks to cancel")
	var a stackclient.Answer
	err := s.eventually(ctx, "an answer to the cancellation", func(ctx context.Context) (_ bool, _ string, err error) {
		a, err = s.client.Cancel(ctx, s.id())
		return err == nil && a.Status < 500, string(a.Body), err
	})
	if err != nil {
		return err
	}
	if a.Status != want {
		return fmt.Errorf("the cancellation should be answered %d: %w", want, &stackclient.StatusError{Call: "it was answered", Answer: a})
	}
	if a.Status == http.StatusConflict {
		var problem struct {
			Detail string `json:"detail"`
		}
		if err := json.Unmarshal(a.Body, &problem); err != nil {
			return fmt.Errorf("the refusal: %w", err)
		}
		s.act(order, "answers 409: "+problem.Detail)
	}
	return nil
}

// awaitState blocks until the order is in the state.
func (s *stage) awaitState(ctx context.Context, state string) error {
	return s.eventually(ctx, "the order to be "+state, func(context.Context) (bool, string, error) {
		o := s.feed.view()
		if o.Ended() && o.State != state {
			return false, "", fmt.Errorf("the order should be %s, and is %s: %s", state, o.State, o.Message)
		}
		return o.State == state, "it is " + o.State, nil
	})
}

// awaitPayment blocks until the payment service has brought the order's payment into the state.
func (s *stage) awaitPayment(ctx context.Context, state string) error {
	return s.eventually(ctx, "the payment to be "+state, func(ctx context.Context) (bool, string, error) {
		var p struct {
			State string `json:"state"`
		}
		err := s.client.Get(ctx, s.client.shop.Payment+"/api/v1/payments/"+s.id(), &p)
		return err == nil && p.State == state, "it is " + p.State, nil
	})
}

// catchUp blocks until everything that has happened so far is shown.
func (s *stage) catchUp(ctx context.Context) error {
	now := time.Now()
	return s.eventually(ctx, "the books to be read", func(context.Context) (bool, string, error) {
		return s.feed.shows(now), "", nil
	})
}

// eventually asks until the answer is yes, or the story's patience is at its end.
func (s *stage) eventually(ctx context.Context, what string, ask func(ctx context.Context) (yes bool, still string, err error)) error {
	return stackclient.Eventually(ctx, s.patience, what, ask)
}
