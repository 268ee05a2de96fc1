// Copyright The Faultline Authors
// SPDX-License-Identifier: Apache-2.0

package service

import (
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"github.com/faultline-otel/faultline/lab/internal/service/control"
)

// shop is what each service does.
var shop = map[string]func(*app){
	"web":       buildWeb,
	"checkout":  buildCheckout,
	"payment":   buildPayment,
	"inventory": buildInventory,
	"bank":      buildBank,
	"pricing":   buildPricing,
	"ledger":    buildLedger,
	"broker":    buildBroker,
	"mailer":    buildMailer,
}

// buildWeb makes the shop's edge.
func buildWeb(a *app) {
	a.handle("POST /buy/{item}", func(r *http.Request) (string, error) {
		return a.client.call(r.Context(), "checkout", http.MethodPost, "/orders/"+r.PathValue("item"))
	})
	a.handle("GET /find/{item}", func(r *http.Request) (string, error) {
		return a.client.call(r.Context(), "proxy", http.MethodGet, "/search/"+r.PathValue("item"))
	})
}

func buildCheckout(a *app) {
	prices := newPriceClient(a)
	a.handle("POST /orders/{item}", func(r *http.Request) (string, error) {
		ctx, item := r.Context(), r.PathValue("item")
		if _, err := a.client.call(ctx, "cart", http.MethodGet, "/cart/"+item); err != nil {
			return "", err
		}
		price, err := prices.price(ctx, item)
		if err != nil {
			return "", err
		}
		receipt, err := a.client.call(ctx, "payment", http.MethodPost, "/payments/"+item+"?amount="+price)
		if err != nil {
			return "", err
		}
		return receipt, a.publish(ctx, receipt)
	})
}

// ledgerPool is how many connections to the ledger a payment has.
const ledgerPool = 10

func buildPayment(a *app) {
	pool, err := newPool("ledger", ledgerPool, a.faults)
	a.client.pools["ledger"] = pool
	a.trouble = errors.Join(a.trouble, err)
	a.handle("POST /payments/{item}", func(r *http.Request) (string, error) {
		ctx, item := r.Context(), r.PathValue("item")
		amount := r.URL.Query().Get("amount")
		if _, err := a.client.call(ctx, "bank", http.MethodPost, "/charges/"+amount); err != nil {
			return "", err
		}
		entry := item + "-" + strconv.FormatInt(time.Now().UnixNano(), 36)
		return a.client.call(ctx, "ledger", http.MethodPost, "/entries/"+entry+"?amount="+amount)
	})
}

func buildInventory(a *app) {
	a.handle("GET /stock/{item}", func(r *http.Request) (string, error) {
		return strconv.Itoa(len(r.PathValue("item")) * 7), nil
	})
}

func buildBank(a *app) {
	a.handle("POST /charges/{amount}", func(r *http.Request) (string, error) {
		time.Sleep(3 * time.Millisecond)
		return "charged " + r.PathValue("amount"), nil
	})
}

// journal is a file in the service's own small file system. It begins again
// when it has grown to a part of it.
type journal struct {
	a    *app
	path string
}

func newJournal(a *app) *journal { return &journal{a, filepath.Join(a.c.Data, "journal")} }

const journalSize = 1 << 20

// write appends a line, as a store does before it says yes.
func (j *journal) write(line string) error {
	time.Sleep(j.a.faults.duration(control.SlowDisk))
	if info, err := os.Stat(j.path); err == nil && info.Size() > journalSize {
		if err := os.Rename(j.path, j.path+".old"); err != nil {
			return &ownError{err}
		}
	}
	file, err := os.OpenFile(j.path, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		return &ownError{err}
	}
	defer file.Close()
	if _, err := fmt.Fprintln(file, line); err != nil {
		return &ownError{err}
	}
	return nil
}
