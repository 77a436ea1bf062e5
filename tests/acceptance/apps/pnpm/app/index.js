const Koa = require("koa");

const app = new Koa();
app.use(async (context) => {
  context.body = "hello koa";
});
app.listen(process.env.PORT || 3000);
