package localpg_test

import (
	"context"
	"fmt"
	"log"

	"github.com/jackc/pgx/v5"

	"partnersync/store/localpg"
)

// A server in a temporary directory that lives as long as the function.
func ExampleStart() {
	ctx := context.Background()
	server, err := localpg.Start(ctx, localpg.Config{Settings: map[string]string{"fsync": "off"}})
	if err != nil {
		log.Fatal(err)
	}
	defer server.Stop()
	conn, err := pgx.Connect(ctx, server.URL("postgres"))
	if err != nil {
		log.Fatal(err)
	}
	defer conn.Close(ctx)
	fmt.Println(conn.Ping(ctx))
	fmt.Println(server.PsqlCommand("postgres"), "looks around")
}
